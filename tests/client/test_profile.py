"""Who is chosen to be, and how a sign-in is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darsena.client.errors import SignInFailed
from darsena.client.profile import Profile, ProfileStore, find_profile, is_loopback


def write_owner(folder: Path, url: str = "https://localhost:8443") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    owner = {
        "tenant_id": "t",
        "subscription_id": "s",
        "client_id": "owner",
        "client_secret": "x",
        "control_url": url,
        "registry_domain": "azurecr.localhost",
        "ca_file": "tls/ca.pem",
        "a_later_field": 1,
    }
    (folder / "owner.json").write_text(json.dumps(owner))
    return folder


def stored(home: Path, name: str, client_id: str, url: str = "https://localhost:8443") -> None:
    store = ProfileStore(home / ".config" / "darsena")
    store.put(name, Profile(control_url=url, client_id=client_id, client_secret="y"))


def test_a_profile_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path)
    path = store.put("default", Profile(control_url="https://h", client_id="a", client_secret="b", ca_file="/c"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert store.find("default") == Profile(control_url="https://h", client_id="a", client_secret="b", ca_file="/c")
    assert store.delete("default")
    assert not store.delete("default")
    for name in ("", "../x", ".hidden", "a/b"):
        with pytest.raises(SignInFailed):
            store.path(name)


def test_the_order_of_choice(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    with pytest.raises(SignInFailed, match="not signed in"):
        find_profile(environment)
    config = tmp_path / ".config" / "darsena"
    config.mkdir(parents=True)
    (config / "last-serve").write_text(f"{write_owner(tmp_path / 'served')}\n")
    found = find_profile(environment)
    assert (found.profile.client_id, "served" in found.notice) == ("owner", True)
    assert found.profile.ca_file == str(tmp_path / "served" / "tls" / "ca.pem")
    stored(tmp_path, "default", "me")
    assert find_profile(environment).profile.client_id == "me"
    assert find_profile(environment).notice == ""
    environment["DARSENA_DATA"] = str(write_owner(tmp_path / "same"))
    assert find_profile(environment).profile.client_id == "me"
    environment["DARSENA_DATA"] = str(write_owner(tmp_path / "other", "https://localhost:9443"))
    assert find_profile(environment).profile.client_id == "owner"
    stored(tmp_path, "work", "worker")
    environment["DARSENA_PROFILE"] = "work"
    assert find_profile(environment).profile.client_id == "worker"
    environment["DARSENA_PROFILE"] = "none"
    with pytest.raises(SignInFailed, match="no profile 'none'"):
        find_profile(environment)


def test_the_owner_is_for_loopback_only(tmp_path: Path) -> None:
    data = write_owner(tmp_path / "data", "https://registry.example.com")
    with pytest.raises(SignInFailed, match="loopback"):
        find_profile({"HOME": str(tmp_path), "DARSENA_DATA": str(data)})


def test_a_broken_file_is_said(tmp_path: Path) -> None:
    data = write_owner(tmp_path / "data")
    (data / "owner.json").write_text("{")
    with pytest.raises(SignInFailed, match="holds no credentials"):
        find_profile({"HOME": str(tmp_path), "DARSENA_DATA": str(data)})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.LOCALHOST.", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
