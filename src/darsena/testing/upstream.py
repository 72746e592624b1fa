"""A real registry that is not ours, Debian's `docker-registry`, over TLS on loopback, for tests to push to."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    port: int
    domain: str
    ca_file: Path
    folder: Path

    def host(self, registry: str) -> str:
        return f"{registry}.{self.domain}:{self.port}"


def make_certificates(folder: Path, names: list[str]) -> Certificates:
    """A CA and a leaf for `names` and 127.0.0.1, valid for a day."""
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = [*(x509.DNSName(name) for name in names), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = (
        _builder(leaf_name, ca_name, leaf_key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(ca=folder / "ca.crt", certificate=folder / "leaf.crt", key=folder / "leaf.key")
    made.ca.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


@contextmanager
def running_upstream(folder: Path, domain: str, *, tls: bool = True) -> Generator[Upstream]:
    """Answers for every host below `domain`; the name look-up is the caller's business."""
    program = shutil.which("docker-registry")
    if program is None:
        raise FileNotFoundError("docker-registry is missing: install Debian's package of that name")
    made = make_certificates(folder / "tls", [f"*.{domain}", domain, "localhost"])
    port = _free_port()
    settings = folder / "config.yml"
    encryption = f"\n  tls: {{certificate: {made.certificate}, key: {made.key}}}" if tls else ""
    settings.write_text(
        f"""version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder / "data"}}}, delete: {{enabled: true}}}}
http:
  addr: 127.0.0.1:{port}{encryption}
"""
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log, cwd="/")
        try:
            _wait_until_open(port)
            yield Upstream(port=port, domain=domain, ca_file=made.ca, folder=folder)
        finally:
            server.terminate()
            server.wait(10)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
