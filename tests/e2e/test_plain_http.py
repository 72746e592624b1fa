"""Plain HTTP: for this machine, and behind a proxy that speaks TLS (how-to: Plain HTTP)."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx
from stand import Stand, free_port, standing, wait_until

CONTENT = b"a layer in the clear"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def make_registry(stand: Stand) -> None:
    stand.ok("group", "create", "-n", "tests")
    stand.ok("create", "-g", "tests", "-n", "plainreg", "--sku", "Basic")


def challenge(stand: Stand, host: str) -> str:
    with stand.client(host) as client:
        answer = client.get("/v2/")
    assert answer.status_code == 401
    return answer.headers["www-authenticate"]


def push(client: httpx.Client, sign: dict[str, str]) -> None:
    answer = client.post(f"/v2/team/app/blobs/uploads/?digest={DIGEST}", content=CONTENT, headers=sign)
    assert answer.status_code == 201, answer.text
    answer = client.get(answer.headers["location"], headers=sign)
    assert answer.content == CONTENT


def test_links_say_http_and_clients_work(tmp_path: Path) -> None:
    with standing(tmp_path, "--plain-http", scheme="http") as stand:
        assert stand.owner["control_url"] == f"http://localhost:{stand.port}"
        make_registry(stand)
        host = stand.login_server("plainreg")
        assert f'realm="http://{host}/oauth2/token"' in challenge(stand, host)
        with stand.client(host) as client:
            query = {"service": host, "scope": "repository:team/app:pull,push"}
            user, _, password = stand.credentials.partition(":")
            answer = client.get("/oauth2/token", params=query, auth=(user, password))
            push(client, {"authorization": f"Bearer {answer.json()['access_token']}"})
        assert stand.ok("repository", "list", "-n", "plainreg").json() == ["team/app"]
        assert stand.agent_pid() is None  # an engine reaches registries over TLS only
        findings = {finding["area"]: finding["text"] for finding in stand.ok("doctor").json()}
        assert "in clear" in findings["tls"]
        assert "builds are off" in findings["engine"]
        assert stand.stop() == 0
        stand.start("--no-build")  # the folder knows
        assert stand.health() is not None


def test_behind_a_proxy_links_say_https_and_its_port(tmp_path: Path) -> None:
    domain = "registry.example.com"
    stand = Stand(tmp_path / "data", free_port(), tmp_path / "home", {"DARSENA_SERVER__TLS": "proxy"}, "http")
    stand.start("--domain", domain, "--no-build", wait=False)
    try:
        wait_until((stand.data / "owner.json").exists, "the folder is made")
        with stand.client(domain) as client:
            wait_until(lambda: is_healthy(client), "the server answers to its own name")
            endpoints = client.get("/metadata/endpoints?api-version=2022-09-01").json()
        assert stand.owner["control_url"] == f"https://{domain}"
        assert endpoints["authentication"]["loginEndpoint"].startswith(f"https://{domain}/")
        assert endpoints["suffixes"]["acrLoginServer"].strip(".") == domain
        make_registry_over_arm(stand, domain)
        host = f"plainreg.{domain}"
        assert f'realm="https://{host}/oauth2/token"' in challenge(stand, host)
        with stand.client(host) as client:
            owner = f"{stand.owner['client_id']}:{stand.owner['client_secret']}"
            push(client, {"authorization": f"Basic {base64.b64encode(owner.encode()).decode()}"})
    finally:
        stand.end()


def make_registry_over_arm(stand: Stand, control_host: str) -> None:
    """By its own name: the program would look for it on the network."""
    owner = stand.owner
    form = {key: owner[key] for key in ("client_id", "client_secret")}
    form |= {"grant_type": "client_credentials", "scope": f"{owner['control_url']}/.default"}
    group = f"/subscriptions/{owner['subscription_id']}/resourceGroups/tests"
    registry = f"{group}/providers/Microsoft.ContainerRegistry/registries/plainreg?api-version=2023-07-01"
    with stand.client(control_host) as client:
        token = client.post(f"/{owner['tenant_id']}/oauth2/v2.0/token", data=form).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        made = client.put(f"{group}?api-version=2021-04-01", json={"location": "local"})
        assert made.status_code == 201, made.text
        made = client.put(registry, json={"location": "local", "sku": {"name": "Basic"}})
        assert made.status_code in (200, 201), made.text
        assert made.json()["properties"]["loginServer"] == f"plainreg.{control_host}"


def is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_others_on_the_network_do_not_read_along(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "data", 18_080, tmp_path / "home")
    done = stand.darsena("serve", "--data", str(stand.data), "--listen", "0.0.0.0:18080", "--plain-http")
    assert done.code == 2
    assert "plain_from_elsewhere" in done.err
    assert not stand.data.exists()
