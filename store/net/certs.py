"""Makes the certificates by which nodes and clients know each other: an authority of the cluster's own, and a
certificate and key for each node and each client (X.509, RFC 5280; keys on the curve P-256).

A directory has `ca.pem` and `ca.key`, and `NAME.pem` and `NAME.key` for each. Each node needs its own two and
`ca.pem`; `ca.key` is needed only to make more, and is best kept off the nodes. A client's certificate is not
good for a node: the role is in its name (see store/net/tls.py), and it may not serve (extended key usage).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from store.config import parse_name
from store.net.handshake import SecurityError
from store.net.tls import URN

AUTHORITY: Final = "ca"
DAYS: Final = 365
DAYS_MAX: Final = 36_500
HOSTS: Final = ("localhost", "127.0.0.1", "::1")
CLOCKS_APART: Final = timedelta(hours=1)
"""How far clocks may be behind ours and still find a new certificate valid."""


class Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def init(
    directory: Path,
    nodes: Sequence[str],
    clients: Sequence[str],
    hosts: Sequence[str] = HOSTS,
    days: int = DAYS,
) -> list[Path]:
    """A new authority in `directory` (made if missing), and certificates for `nodes` and `clients`, valid for
    `days`; the files written. `hosts` are names and addresses that nodes' certificates are good for in the
    eyes of other software; our own looks at the nodes' names only. Raises `SecurityError`, also if a file is
    there already; then nothing is written."""
    subjects = _checked(directory, (AUTHORITY,), nodes, clients, days)
    names = _host_names(hosts)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority(_authority_certificate(key, days), key)
    written = _written(directory, AUTHORITY, authority.certificate, key)
    return written + _issued(directory, authority, subjects, names, days)


def add(
    directory: Path,
    nodes: Sequence[str],
    clients: Sequence[str],
    hosts: Sequence[str] = HOSTS,
    days: int = DAYS,
) -> list[Path]:
    """More certificates by the authority in `directory`, which they do not outlive; otherwise as `init`."""
    subjects = _checked(directory, (), nodes, clients, days)
    names = _host_names(hosts)
    return _issued(directory, _read_authority(directory), subjects, names, days)


def check(certificate: Path, node: str) -> int:
    """For how many days more the certificate of `node` is valid. Raises `SecurityError` if it is not, or is
    another's: all others would turn the node away."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except OSError as error:
        raise SecurityError(f"{certificate} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecurityError(f"{certificate} is no certificate in PEM") from None
    except x509.ExtensionNotFound:
        raise SecurityError(f"{certificate} names neither a node nor a client") from None
    own = f"{URN}node:{node}"
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if own not in uris:
        raise SecurityError(f"{certificate} is not for {own}, but for {', '.join(uris) or 'nobody'}")
    now = datetime.now(UTC)
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        valid = f"{found.not_valid_before_utc:%Y-%m-%d} to {found.not_valid_after_utc:%Y-%m-%d}"
        raise SecurityError(f"{certificate} is valid from {valid}, and today is {now:%Y-%m-%d}")
    return (found.not_valid_after_utc - now).days


def _checked(
    directory: Path, besides: tuple[str, ...], nodes: Sequence[str], clients: Sequence[str], days: int
) -> list[tuple[str, str]]:
    """(role, name) of all that are to be made; raises `SecurityError`."""
    if type(days) is not int or not 1 <= days <= DAYS_MAX:
        raise SecurityError(f"certificates can be valid for 1 to {DAYS_MAX} days, not {days}")
    subjects = [("node", name) for name in nodes] + [("client", name) for name in clients]
    seen = {AUTHORITY}
    for role, name in subjects:
        try:
            parse_name(name)
        except ValueError as error:
            raise SecurityError(str(error)) from None
        if name.lower() in seen:
            raise SecurityError(
                f"there cannot be a {role} {name!r} too; names must be distinct, and not 'ca'"
            )
        seen.add(name.lower())
    for name in (*besides, *(name for _, name in subjects)):
        for path in _files(directory, name):
            if path.exists():
                raise SecurityError(f"{path} is there already, and is not overwritten")
    return subjects


def _files(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.pem", directory / f"{name}.key"


def _host_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            try:
                names.append(x509.DNSName(host.encode("idna").decode()))
            except UnicodeError:
                raise SecurityError(f"{host!r} is neither a host name nor an address") from None
    return names


def _issued(
    directory: Path,
    authority: Authority,
    subjects: list[tuple[str, str]],
    hosts: list[x509.GeneralName],
    days: int,
) -> list[Path]:
    written: list[Path] = []
    for role, name in subjects:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(authority, key, role, name, hosts if role == "node" else [], days)
        written += _written(directory, name, certificate, key)
    return written


def _builder(
    subject: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    ends = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(ends if latest is None else min(ends, latest))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_certificate(key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
    public = key.public_key()
    return (
        _builder("stormcellar authority", _name("stormcellar authority"), public, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    role: str,
    name: str,
    hosts: list[x509.GeneralName],
    days: int,
) -> x509.Certificate:
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role == "node":
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.UniformResourceIdentifier(f"{URN}{role}:{name}"), *hosts]
    authoritys = authority.key.public_key()
    ends = authority.certificate.not_valid_after_utc
    return (
        _builder(f"{role} {name}", authority.certificate.subject, key.public_key(), days, ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authoritys), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _read_authority(directory: Path) -> Authority:
    cert, key = _files(directory, AUTHORITY)
    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise SecurityError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise SecurityError(f"{cert} and {key} are no certificate and its key in PEM") from None
    if (
        not isinstance(private, ec.EllipticCurvePrivateKey)
        or private.public_key() != certificate.public_key()
    ):
        raise SecurityError(f"{key} is not the key of {cert}")
    return Authority(certificate, private)


def _written(
    directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> list[Path]:
    pem, secret = _files(directory, name)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_new(secret, private, 0o600)
        _write_new(pem, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise SecurityError(f"{error.filename or directory} cannot be written: {error.strerror}") from None
    return [pem, secret]


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Never over a file that is there."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
