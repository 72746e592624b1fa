"""Helm 4 against the login server: its own Go code, as the wheel `helm-python-sdk` carries it (issue: Clients)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from pushing import digest_of
from stand import REGISTRY, Done, Stand, run

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True)
class Helm:
    stand: Stand
    folder: Path

    def __call__(self, *arguments: str, check: bool = True) -> Done:
        own = {
            "SSL_CERT_FILE": self.stand.owner["ca_file"],
            "HELM_REGISTRY_CONFIG": str(self.folder / "registry.json"),
            "HOME": str(self.folder),
        }
        command = [sys.executable, str(Path(__file__).parent / "helm_client.py"), *arguments]
        done = run(command, env={**self.stand.env(), **own}, timeout=60)
        assert not check or done.code == 0, f"helm {' '.join(arguments)} ended with {done.code}:\n{done.err}"
        return done

    def sign_in(self) -> str:
        """As the owner; the login server."""
        server, owner = self.stand.login_server(REGISTRY), self.stand.owner
        self("login", server, owner["client_id"], owner["client_secret"])
        return server


@pytest.fixture
def helm(stand: Stand, tmp_path: Path) -> Helm:
    (tmp_path / "registry.json").write_text("{}")
    return Helm(stand, tmp_path)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A packaged chart, made by Helm as `helm create` makes one."""
    (tmp_path / "source").mkdir()
    with helm_python.Chart.create("harbour", tmp_path / "source"):
        pass
    return Path(helm_python.package(tmp_path / "source" / "harbour", destination=tmp_path, version="1.2.3"))


def pushed(helm: Helm, path: str, reference: str) -> dict[str, Any]:
    with helm.stand.client(helm.stand.login_server(REGISTRY)) as client:
        owner = helm.stand.owner
        answer = client.get(f"/v2/{path}/manifests/{reference}", auth=(owner["client_id"], owner["client_secret"]))
    return answer.json()


def test_it_is_helms_own_code(helm: Helm) -> None:
    """The version that Go's build recorded in the library, and Helm's functions in it."""
    assert helm("version").json().startswith("v4.")
    library = Path(helm_python.library_path).read_bytes()
    assert b"helm.sh/helm/v4/pkg/registry.(*Client).Push" in library


def test_chart_is_pushed_pulled_and_shown(helm: Helm, chart: Path, tmp_path: Path) -> None:
    server = helm.sign_in()
    helm("push", str(chart), f"oci://{server}/charts")
    manifest = pushed(helm, "charts/harbour", "1.2.3")
    assert manifest["config"]["mediaType"] == CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [CHART]
    assert manifest["layers"][0]["digest"] == digest_of(chart.read_bytes())

    reference = f"oci://{server}/charts/harbour"
    (tmp_path / "back").mkdir()
    helm("pull", reference, "1.2.3", str(tmp_path / "back"))
    assert (tmp_path / "back" / chart.name).read_bytes() == chart.read_bytes()
    shown = yaml.safe_load(helm("show", f"{reference}:1.2.3", "chart").json())
    assert (shown["name"], shown["version"]) == ("harbour", "1.2.3")
    assert "replicaCount" in yaml.safe_load(helm("show", reference, "values").json())
    resolved = helm("resolve", f"{reference}:1.2.3").json()
    assert resolved["media_type"] == "application/vnd.oci.image.manifest.v1+json"


def test_versions_are_listed_and_a_range_finds_the_newest(helm: Helm, chart: Path, tmp_path: Path) -> None:
    """A plus sign in a version is an underscore in its tag."""
    server = helm.sign_in()
    source = tmp_path / "source" / "harbour"
    for version in ("0.1.0", "0.2.0", "0.10.0", "1.0.0+build.7"):
        archive = helm_python.package(source, destination=tmp_path, version=version)
        helm("push", archive, f"oci://{server}/versions")
    assert helm("tags", f"oci://{server}/versions/harbour").json() == ["1.0.0+build.7", "0.10.0", "0.2.0", "0.1.0"]
    (tmp_path / "back").mkdir()
    helm("pull", f"oci://{server}/versions/harbour", "~0", str(tmp_path / "back"))
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["harbour-0.10.0.tgz"]
    assert pushed(helm, "versions/harbour", "1.0.0_build.7")["config"]["mediaType"] == CONFIG


def test_admin_user_logs_in_and_a_logout_ends_it(helm: Helm, chart: Path) -> None:
    server = helm.stand.login_server(REGISTRY)
    found = helm.stand.ok("credential", "show", "-n", REGISTRY).json()
    helm("login", server, found["username"], found["passwords"][0]["value"])
    helm("push", str(chart), f"oci://{server}/admin")
    helm("logout", server)
    refused = helm("show", f"oci://{server}/admin/harbour:1.2.3", "chart", check=False)
    assert refused.code != 0
    assert "401" in refused.err or "unauthorized" in refused.err.lower()


def test_wrong_password_is_refused(helm: Helm) -> None:
    refused = helm("login", helm.stand.login_server(REGISTRY), REGISTRY, "wrong", check=False)
    assert refused.code != 0
    assert "401" in refused.err or "unauthorized" in refused.err.lower()
