"""Certificates: what is written, for whom it is good, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from store.net import certs
from store.net.handshake import SecurityError
from tests.support.long_ago import LongAgo


def extensions(path: Path) -> x509.Extensions:
    return x509.load_pem_x509_certificate(path.read_bytes()).extensions


def uris(path: Path) -> list[str]:
    names = extensions(path).get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def test_an_authority_and_a_certificate_for_each_are_written_with_keys_that_others_cannot_read(
    tmp_path: Path,
) -> None:
    written = certs.init(tmp_path / "certs", ["n1", "n2"], ["app"])
    assert sorted(path.name for path in written) == [
        *("app.key", "app.pem", "ca.key", "ca.pem", "n1.key", "n1.pem", "n2.key", "n2.pem")
    ]
    for path in written:
        assert path.stat().st_mode & 0o777 == (0o600 if path.suffix == ".key" else 0o644)
    ca = x509.load_pem_x509_certificate((tmp_path / "certs" / "ca.pem").read_bytes())
    for path in written:
        if path.suffix == ".pem":
            x509.load_pem_x509_certificate(path.read_bytes()).verify_directly_issued_by(ca)


def test_the_role_is_in_the_name_and_only_nodes_may_serve(tmp_path: Path) -> None:
    certs.init(tmp_path, ["n1"], ["app"], hosts=["node.example", "10.0.0.1"])
    assert uris(tmp_path / "n1.pem") == ["urn:stormcellar:node:n1"]
    assert uris(tmp_path / "app.pem") == ["urn:stormcellar:client:app"]
    usages = {
        name: set(extensions(tmp_path / name).get_extension_for_class(x509.ExtendedKeyUsage).value)
        for name in ("n1.pem", "app.pem")
    }
    assert usages["app.pem"] == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert usages["n1.pem"] == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    names = extensions(tmp_path / "n1.pem").get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


def test_more_can_be_made_later_and_do_not_outlive_their_authority(tmp_path: Path) -> None:
    certs.init(tmp_path, ["n1"], [], days=10)
    assert [path.name for path in certs.add(tmp_path, ["n2"], [], days=400)] == ["n2.pem", "n2.key"]
    later = x509.load_pem_x509_certificate((tmp_path / "n2.pem").read_bytes())
    later.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes()))
    assert later.not_valid_after_utc <= datetime.now(UTC) + timedelta(days=10)


def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "n2.key").write_text("precious")
    with pytest.raises(SecurityError, match=r"n2\.key is there already, and is not overwritten"):
        certs.init(tmp_path, ["n1", "n2"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["n2.key"]
    certs.init(tmp_path, ["n1"], [])
    with pytest.raises(SecurityError, match=r"ca\.pem is there already"):
        certs.init(tmp_path, ["n3"], [])


@pytest.mark.parametrize(
    ("nodes", "clients", "hosts", "days", "why"),
    [
        (["n 1"], [], [], 1, "'n 1' is no name; allowed are 1 to 64 letters"),
        (["../n1"], [], [], 1, "is no name"),
        (["n1"], ["N1"], [], 1, "there cannot be a client 'N1' too; names must be distinct, and not 'ca'"),
        (["ca"], [], [], 1, "there cannot be a node 'ca'"),
        (["n1"], [], ["a..b"], 1, "'a..b' is neither a host name nor an address"),
        (["n1"], [], [], 0, "certificates can be valid for 1 to 36500 days, not 0"),
    ],
)
def test_what_makes_no_certificate_is_named(
    tmp_path: Path, nodes: list[str], clients: list[str], hosts: list[str], days: int, why: str
) -> None:
    with pytest.raises(SecurityError, match=why):
        certs.init(tmp_path, nodes, clients, hosts, days)
    assert list(tmp_path.iterdir()) == []


def test_an_authority_that_is_missing_or_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match=r"ca\.pem cannot be read: No such file"):
        certs.add(tmp_path, ["n1"], [])
    certs.init(tmp_path / "one", ["n1"], [])
    certs.init(tmp_path / "two", ["n1"], [])
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    with pytest.raises(SecurityError, match=r"ca\.key is not the key of .*ca\.pem"):
        certs.add(tmp_path / "one", ["n2"], [])
    (tmp_path / "one" / "ca.pem").write_text("nonsense")
    with pytest.raises(SecurityError, match=r"are no certificate and its key in PEM"):
        certs.add(tmp_path / "one", ["n2"], [])


def test_a_node_knows_for_how_long_its_certificate_is_good_and_that_it_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certs.init(tmp_path, ["n1"], ["app"], days=10)
    assert certs.check(tmp_path / "n1.pem", "n1") == 9
    for file, node, why in (
        ("n1.pem", "n2", r"n1\.pem is not for urn:stormcellar:node:n2, but for urn:stormcellar:node:n1$"),
        ("app.pem", "app", r"but for urn:stormcellar:client:app$"),
        ("ca.pem", "n1", r"ca\.pem names neither a node nor a client"),
        ("n1.key", "n1", r"n1\.key is no certificate in PEM"),
        ("none.pem", "n1", r"none\.pem cannot be read: No such file"),
    ):
        with pytest.raises(SecurityError, match=why):
            certs.check(tmp_path / file, node)
    monkeypatch.setattr(certs, "datetime", LongAgo)
    certs.init(tmp_path / "old", ["n1"], [], days=10)
    monkeypatch.undo()
    with pytest.raises(SecurityError, match=r"n1\.pem is valid from 2019-12-31 to 2020-01-11, and today is "):
        certs.check(tmp_path / "old" / "n1.pem", "n1")
