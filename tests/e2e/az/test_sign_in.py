"""Every way to sign in with the stock `az`: the shell of `darsena az-env`, a certificate, a password, a device code."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from stand import Done, Stand, run, wait_until
from stock import PROGRAM, Az


@dataclass(frozen=True)
class Person:
    name: str
    password: str


@pytest.fixture(scope="module")
def person(stand: Stand) -> Person:
    """A reader of the subscription."""
    name = f"ana{uuid.uuid4().hex[:6]}@example.com"
    made = stand.ok("user", "create", name, "--role", "Reader", "-o", "json").json()
    return Person(name, made["password"])


@pytest.fixture
def fresh(new_az: Callable[[], Az], stand: Stand) -> Az:
    """The cloud is known, and nobody is signed in."""
    az = new_az()
    az.ok("cloud", "register", "-n", "Darsena", "--endpoint-resource-manager", stand.owner["control_url"])
    az.ok("cloud", "set", "-n", "Darsena")
    az.ok("config", "set", "core.login_experience_v2=off")
    return az


def in_a_shell(stand: Stand, home: Path, *lines: str) -> Done:
    """A person's shell on the server's machine, with `az` and `darsena` on its path. The first line that fails ends
    it."""
    programs = (Path(__file__).parents[3] / ".venv" / "bin", PROGRAM.parent)
    own = {
        "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
    }
    ours = ("AZURE_CONFIG_DIR", "REQUESTS_CA_BUNDLE")
    environment = {name: value for name, value in {**os.environ, **stand.env(), **own}.items() if name not in ours}
    done = run(["sh", "-e", "-c", "\n".join(lines)], env=environment, timeout=240)
    assert done.code == 0, f"{done.err}\n{done.out}"
    return done


def test_one_line_gives_a_shell_its_az(stand: Stand, tmp_path: Path) -> None:
    done = in_a_shell(
        stand,
        tmp_path,
        'eval "$(darsena az-env)"',
        'az account show --query "[name, environmentName]" -o tsv',
        "az group exists -n nobody-made-it",
        'eval "$(darsena az-env --unset)"',
        'echo "left:$AZURE_CONFIG_DIR$REQUESTS_CA_BUNDLE"',
    )
    assert done.out.split() == ["Darsena", "Darsena", "false", "left:"]
    assert "WARNING" not in done.err
    assert not (tmp_path / ".azure").exists()  # the person's own


def test_ones_own_az_is_set_up_and_given_back(stand: Stand, tmp_path: Path) -> None:
    active = 'az cloud list --query "[?isActive].name" -o tsv'
    done = in_a_shell(
        stand,
        tmp_path,
        'eval "$(darsena az-setup)"',
        active,
        "az account show --query user.name -o tsv",
        "az group exists -n nobody-made-it",
        "az cloud set -n AzureCloud --only-show-errors",  # real clouds are one command away
        active,
        "az cloud set -n Darsena --only-show-errors",
        "az account show --query name -o tsv",
        "darsena az-setup --undo",
        active,
        'az cloud list --query "[].name" -o tsv | grep -c Darsena || true',
        "! az account show >/dev/null 2>&1",
    )
    client_id = stand.owner["client_id"]
    assert done.out.split() == ["Darsena", client_id, "false", "AzureCloud", "Darsena", "AzureCloud", "0"]
    assert client_id not in (tmp_path / ".azure" / "azureProfile.json").read_text("utf-8-sig")
    assert not list((tmp_path / ".config" / "darsena" / "az").iterdir())


def test_a_program_signs_in_with_a_certificate(fresh: Az, stand: Stand, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ci"]
    subprocess.run([*command, "-keyout", str(both), "-out", str(tmp_path / "c.pem")], check=True, capture_output=True)
    both.write_text(both.read_text() + (tmp_path / "c.pem").read_text())
    made = stand.ok("sp", "create", "certified", "--cert", str(both), "--role", "Reader", "-o", "json").json()
    signed_in = ("--certificate", str(both), "--tenant", stand.owner["tenant_id"])
    fresh.ok("login", "--service-principal", "-u", made["appId"], *signed_in)
    assert fresh.lines("account", "show", "--query", "user.name") == [made["appId"]]
    stand.ok("sp", "delete", made["appId"], "-y")


def test_a_person_signs_in_with_a_password(fresh: Az, person: Person) -> None:
    assert "AADSTS50126" in fresh.refused("login", "-u", person.name, "-p", "a wrong password")
    fresh.ok("login", "-u", person.name, "-p", person.password)
    assert fresh.lines("account", "show", "--query", "user.name") == [person.name]
    fresh.ok("login", "-u", person.name, "-p", person.password, "--tenant", "localhost")  # by its domain
    assert fresh.lines("ad", "signed-in-user", "show", "--query", "userPrincipalName") == [person.name]
    fresh.ok("group", "list")


def test_a_person_signs_in_on_another_device(fresh: Az, person: Person, stand: Stand) -> None:
    with waiting(fresh) as (process, code), stand.client() as browser:
        page = browser.get("/device").text
        fields = {**hidden(page), "user_code": code}
        page = browser.post("/device", data=fields).text
        done = browser.post("/device", data={**hidden(page), "username": person.name, "password": person.password})
        assert done.status_code == 200, done.text
        assert process.wait(60) == 0
    assert fresh.lines("account", "show", "--query", "user.name") == [person.name]


BROWSER = """
import re, sys
from html import unescape
import httpx
url, ca, name, password = sys.argv[1:]
field = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')
with httpx.Client(verify=ca, follow_redirects=False) as browser:
    page = browser.get(url)
    filled = {unescape(key): unescape(value) for key, value in field.findall(page.text)}
    filled |= {"username": name, "password": password}
    action = unescape(re.search(r'<form[^>]* action="([^"]*)"', page.text)[1])
    page = browser.post(httpx.URL(url).join(action), data=filled, headers={"origin": url.partition("/adfs")[0]})
    target = unescape(re.search(r'<form[^>]* action="([^"]*)"', page.text)[1])
    carried = {unescape(key): unescape(value) for key, value in field.findall(page.text)}
    browser.post(target, data=carried)
"""


def test_a_person_signs_in_with_the_browser(fresh: Az, person: Person, stand: Stand, tmp_path: Path) -> None:
    """A program in the browser's place: it fills in the page, and presses the button that carries the answer back."""
    script = tmp_path / "browser.py"
    script.write_text(BROWSER)
    ca = str(stand.data / "tls" / "ca.pem")
    browser = shlex.join([sys.executable, str(script), "%s", ca, person.name, person.password])
    fresh.ok("login", environment={"BROWSER": f"{browser} &"}, timeout=120)
    assert fresh.lines("account", "show", "--query", "user.name") == [person.name]


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {unescape(name): unescape(value) for name, value in found}


@contextlib.contextmanager
def waiting(az: Az) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`az login --use-device-code`, and the code that it prints."""
    path = az.config / "device.log"
    with path.open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), "login", "--use-device-code"], env=az.env(), stdout=log, stderr=log)
    try:
        found = wait_until(lambda: re.search(r"enter the code (\S+)", path.read_text()), "az prints its code")
        yield process, found[1]
    finally:
        process.kill()
        process.wait()
