"""The stamp's certificate authority and its one server certificate (RFC 5280; strict enough for X509_STRICT)."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from darsena.core.errors import StartFailure
from darsena.local.folder import Folder, write_private

_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
_SKEW = timedelta(hours=1)

_Key = ec.EllipticCurvePrivateKey


def ensure_certificates(folder: Folder, names: list[str], addresses: list[str], *, now: datetime | None = None) -> bool:
    """Make what is missing, renew what ends within 30 days; returns whether the server certificate is new."""
    now = now or datetime.now(UTC)
    folder.tls.mkdir(mode=0o700, exist_ok=True)
    if not folder.ca_file.exists() or not folder.ca_key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(folder.ca_key, _pem(key))
        write_private(folder.ca_file, _encode(_make_ca(key, now)))
        folder.ca_file.chmod(0o644)
    if _is_current(folder.certificate, folder.private_key, folder.ca_file, names, now):
        return False
    ca, ca_key = _load_ca(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _make_leaf(key, ca, ca_key, names, addresses, now)
    write_private(folder.private_key, _pem(key))
    write_private(folder.certificate, _encode(leaf) + _encode(ca))
    return True


def _load_ca(folder: Folder) -> tuple[x509.Certificate, _Key]:
    try:
        ca = x509.load_pem_x509_certificate(folder.ca_file.read_bytes())
        key = serialization.load_pem_private_key(folder.ca_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
    except (ValueError, AssertionError) as error:
        raise StartFailure(
            f"the certificate authority in {folder.tls} cannot be read: put {folder.ca_file.name} and "
            f"{folder.ca_key.name} back from your backup, or remove both for a new one, which every client has to trust"
        ) from error
    return ca, key


def find_renewal(folder: Folder) -> datetime:
    """When the server certificate is to be renewed."""
    return x509.load_pem_x509_certificate(folder.certificate.read_bytes()).not_valid_after_utc - _RENEW_BEFORE


def _is_current(certificate: Path, key: Path, ca_file: Path, names: list[str], now: datetime) -> bool:
    if not certificate.exists() or not key.exists():
        return False
    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_file.read_bytes()))
        own = serialization.load_pem_private_key(key.read_bytes(), None).public_key()
    except Exception:  # damaged, an invalid signature, another issuer: all mean "make a new one"
        return False
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        own == leaf.public_key()
        and set(names) <= set(held.get_values_for_type(x509.DNSName))
        and leaf.not_valid_after_utc - now > _RENEW_BEFORE
    )


def _make_ca(key: _Key, now: datetime) -> x509.Certificate:
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Dársena"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Dársena local CA {serial % 0xFFFFFF:06x}"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _make_leaf(
    key: _Key, ca: x509.Certificate, ca_key: _Key, names: list[str], addresses: list[str], now: datetime
) -> x509.Certificate:
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    ca_identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + _LEAF_LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _encode(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _pem(key: _Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
