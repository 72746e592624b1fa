"""Every way to sign in with the stock `az`: the shell of `darsena az-env`, a certificate, a password, a device code."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from stand import Stand, run, wait_until
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


def test_one_line_gives_a_shell_its_az(stand: Stand) -> None:
    script = (
        f'eval "$(darsena az-env --az {PROGRAM})" && "{PROGRAM}" account show --query "[name, environmentName]" -o tsv'
    )
    path = f"{Path(__file__).parents[3] / '.venv' / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **stand.env(), "PATH": path, "DARSENA_DATA": str(stand.data)}
    done = run(["sh", "-c", script], env=environment, timeout=120)
    assert done.code == 0, done.err
    assert done.out.split() == ["Darsena", "Darsena"]


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
