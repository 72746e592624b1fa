"""The data folder's own files, addresses, certificates."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from darsena.core.errors import StartFailure
from darsena.local.addresses import Addresses, parse_listen, reach_host
from darsena.local.folder import Folder, sign_lock, take_lock, write_private
from darsena.local.prepare import prepare
from darsena.local.tls import ensure_certificates

NAMES = ["localhost", "*.azurecr.localhost"]


def test_a_new_folder_is_prepared_once(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = prepare(root, listen="127.0.0.1:8443", domain="")
    assert prepare(root, listen="127.0.0.1:8443", domain="") == first
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert first.addresses.control_url == "https://localhost:8443"
    assert first.addresses.login_server_suffix == ".azurecr.localhost:8443"
    assert first.addresses.blob_url == "https://darsena.blob.core.azurecr.localhost:8443"


def test_what_is_fixed_stays_fixed(tmp_path: Path) -> None:
    prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="registry.example.com")
    prepare(tmp_path / "d", listen="0.0.0.0:8443", domain="")
    with pytest.raises(StartFailure, match="port 8443"):
        prepare(tmp_path / "d", listen="127.0.0.1:443", domain="")
    with pytest.raises(StartFailure, match=r"registry\.example\.com"):
        prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="other.example.com")


def test_another_kind_of_database_is_refused(tmp_path: Path) -> None:
    """It would show an empty registry where there is a full one."""
    prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="", database="postgresql")
    with pytest.raises(StartFailure, match="DARSENA_DATABASE__URL"):
        prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="")


def test_a_folder_may_begin_with_its_settings(tmp_path: Path) -> None:
    (tmp_path / "darsena.toml").write_text("")
    assert Folder(tmp_path).read_marker() is None


def test_a_folder_may_be_the_root_of_a_disk(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert Folder(tmp_path).read_marker() is None


@pytest.mark.parametrize("step", range(8))
def test_a_first_start_that_was_cut_off_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """After so many of its steps (folders, temporary files, renames), whichever they are."""
    done = 0

    def cut(original: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            if done == step:
                raise KeyboardInterrupt
            done += 1
            return original(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as cutting:
        for owner, name in ((os, "mkdir"), (os, "fdopen"), (os, "rename")):
            cutting.setattr(owner, name, cut(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            Folder(tmp_path / "d").make(Addresses.choose("", 8443), "sqlite")
    assert Folder(tmp_path / "d").read_marker() is None
    made = prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="")
    assert Folder(tmp_path / "d").read_marker() == made


def test_a_folder_that_lost_its_marker_is_not_begun_again(tmp_path: Path) -> None:
    prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="")
    (tmp_path / "d" / "darsena.json").unlink()
    with pytest.raises(StartFailure, match="backup"):
        Folder(tmp_path / "d").read_marker()


def test_port_443_is_left_out_of_names() -> None:
    addresses = Addresses.choose("registry.example.com", 443)
    assert addresses.control_url == "https://registry.example.com"
    assert addresses.login_server_suffix == ".registry.example.com"


@pytest.mark.parametrize("domain", ["nodots", "a b.c", "-a.example.com", "a..b", "x" * 64 + ".com"])
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(StartFailure):
        Addresses.choose(domain, 8443)


@pytest.mark.parametrize(
    "listen", ["", "8443", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "host:1", ":x", "1.2.3:4"]
)
def test_what_cannot_be_listened_on(listen: str) -> None:
    with pytest.raises(StartFailure):
        parse_listen(listen)


def test_listening_addresses() -> None:
    assert parse_listen("localhost:1") == ("127.0.0.1", 1)
    assert parse_listen("[::1]:8443") == ("::1", 8443)
    assert [reach_host(host) for host in ("0.0.0.0", "::", "127.0.0.1")] == ["127.0.0.1", "::1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format_version": 2}', "newer"),
        ('{"format_version": 0}', "unknown format"),
        ('{"format_version": 1}', "cannot be read"),
    ],
)
def test_a_marker_that_is_not_ours(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "darsena.json").write_text(content)
    with pytest.raises(StartFailure, match=said):
        Folder(tmp_path).read_marker()


def test_private_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / "secret.new").write_text("left by a crash")
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_the_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    with take_lock(folder) as held:
        sign_lock(held, "pid 42")
        with pytest.raises(StartFailure, match="pid 42"):
            take_lock(folder)
    take_lock(folder).close()


def test_certificates_are_made_renewed_and_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.tls.mkdir()
    now = datetime.now(UTC)
    assert ensure_certificates(folder, NAMES, ["127.0.0.1"], now=now)
    first, ca = folder.certificate.read_bytes(), folder.ca_file.read_bytes()
    assert not ensure_certificates(folder, NAMES, ["127.0.0.1"], now=now + timedelta(days=300))
    assert ensure_certificates(folder, [*NAMES, "*.more.localhost"], ["127.0.0.1"], now=now)
    assert ensure_certificates(folder, NAMES, ["127.0.0.1"], now=now + timedelta(days=380))
    assert folder.certificate.read_bytes() != first
    assert folder.ca_file.read_bytes() == ca


def test_a_foreign_leaf_is_replaced(tmp_path: Path) -> None:
    mine, other = Folder(tmp_path / "a"), Folder(tmp_path / "b")
    for folder in (mine, other):
        folder.tls.mkdir(parents=True)
        ensure_certificates(folder, NAMES, [])
    mine.certificate.write_bytes(other.certificate.read_bytes())
    mine.private_key.write_bytes(other.private_key.read_bytes())
    assert ensure_certificates(mine, NAMES, [])


def test_certificates_satisfy_strict_checks(tmp_path: Path) -> None:
    """X509_STRICT: a handshake in memory, with the star name (RFC 5280)."""
    folder = Folder(tmp_path)
    folder.tls.mkdir()
    ensure_certificates(folder, NAMES, ["127.0.0.1"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder.certificate, folder.private_key)
    client = ssl.create_default_context(cafile=str(folder.ca_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname="myregistry.azurecr.localhost")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert near.getpeercert() is not None


@pytest.mark.parametrize("name", ["server.pem", "server.key", "everything"])
def test_a_damaged_certificate_is_made_anew(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path)
    assert ensure_certificates(folder, NAMES, [])
    if name == "everything":
        shutil.rmtree(folder.tls)
    else:
        (folder.tls / name).write_bytes(b"nonsense")
    assert ensure_certificates(folder, NAMES, [])
    assert not ensure_certificates(folder, NAMES, [])


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_a_damaged_authority_is_not_replaced_silently(tmp_path: Path, name: str) -> None:
    """Every client would have to trust the new one."""
    folder = Folder(tmp_path)
    ensure_certificates(folder, NAMES, [])
    (folder.tls / name).write_bytes(b"nonsense")
    (folder.tls / "server.pem").unlink()
    with pytest.raises(StartFailure, match="backup"):
        ensure_certificates(folder, NAMES, [])


def test_a_lost_agent_token_is_made_anew(tmp_path: Path) -> None:
    prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="")
    folder = Folder(tmp_path / "d")
    folder.agent_token.unlink()
    prepare(folder.root, listen="127.0.0.1:8443", domain="")
    assert folder.agent_token.read_text("utf-8")


def test_what_cannot_be_a_data_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartFailure, match="--data"):
        take_lock(Folder(tmp_path / "file"))


def test_the_ca_signs_nothing_but_certificates(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.tls.mkdir()
    ensure_certificates(folder, NAMES, [])
    ca = x509.load_pem_x509_certificate(folder.ca_file.read_bytes())
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).critical
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert json.dumps(sorted(path.name for path in folder.tls.iterdir())) == json.dumps(
        ["ca.key", "ca.pem", "server.key", "server.pem"]
    )


def test_a_folder_for_plain_http(tmp_path: Path) -> None:
    made = prepare(tmp_path / "d", listen="127.0.0.1:8080", domain="", scheme="http")
    assert made.addresses.control_url == "http://localhost:8080"
    assert made.addresses.blob_url == "http://darsena.blob.core.azurecr.localhost:8080"
    assert Folder(tmp_path / "d").read_marker() == made
    with pytest.raises(StartFailure, match="--plain-http"):
        prepare(tmp_path / "d", listen="127.0.0.1:8080", domain="")


def test_a_folder_behind_a_proxy_has_the_proxys_port(tmp_path: Path) -> None:
    domain = "registry.example.com"
    made = prepare(tmp_path / "d", listen="127.0.0.1:8080", domain=domain, public_port=443)
    assert made.addresses.control_url == f"https://{domain}"
    assert prepare(tmp_path / "d", listen="127.0.0.1:9090", domain="", public_port=443) == made
    with pytest.raises(StartFailure, match=r"server\.public_port = 443"):
        prepare(tmp_path / "d", listen="127.0.0.1:8080", domain="", public_port=8443)
    with pytest.raises(StartFailure, match=r"server\.tls to own or proxy"):
        prepare(tmp_path / "d", listen="127.0.0.1:443", domain="", scheme="http")


def test_a_folder_from_before_schemes_has_https(tmp_path: Path) -> None:
    made = prepare(tmp_path / "d", listen="127.0.0.1:8443", domain="")
    path = tmp_path / "d" / "darsena.json"
    values = json.loads(path.read_text())
    assert values.pop("scheme") == "https"
    path.write_text(json.dumps(values))
    assert Folder(tmp_path / "d").read_marker() == made
