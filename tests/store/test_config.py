"""A node's configuration: what is right is read, and what is wrong is named, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.config import EXAMPLE, MORE_KEYS, Address, ConfigError, load, parse_address
from store.core.messages import Bucket
from store.core.options import MS, SECOND, Options

GOOD = {
    "name": '"n1"',
    "cluster": '"demo"',
    "listen": '"127.0.0.1:0"',
    "data": '"data"',
    "peers": '{n1 = "127.0.0.1:7000", n2 = "127.0.0.1:7001", n3 = "127.0.0.1:7002"}',
}


def written(directory: Path, **changes: str | None) -> Path:
    path = directory / "node.toml"
    entries = GOOD | changes
    path.write_text("".join(f"{key} = {value}\n" for key, value in entries.items() if value is not None))
    return path


def test_the_example_in_the_help_is_right(tmp_path: Path) -> None:
    path = tmp_path / "n1.toml"
    path.write_text(EXAMPLE)
    config = load(path)
    assert config.name == "n1"
    assert config.listen == Address("127.0.0.1", 7000)
    assert config.data == tmp_path / "data" / "n1"
    assert config.nodes == ("n1", "n2", "n3")
    assert config.peers == {"n2": Address("127.0.0.1", 7001), "n3": Address("127.0.0.1", 7002)}
    assert (config.replication, config.vnodes) == (3, 64)
    assert config.buckets == (Bucket("carts", 3, "siblings"),)
    peers = {"n2": "127.0.0.1:7001", "n3": "127.0.0.1:7002"}
    assert config.options == Options(peers=peers), "the example shows the defaults"
    assert (config.http, config.log, config.reserve_mb) == (Address("127.0.0.1", 8000), "text", 64)


def test_the_other_keys_in_the_help_are_right(tmp_path: Path) -> None:
    begins = 'name = "n4"\ncluster = "demo"\ndata = "data"\n'
    path = tmp_path / "n4.toml"
    path.write_text(begins + MORE_KEYS.replace("insecure = true", "").replace("secret_file =", "#"))
    config = load(path)
    assert config.join
    assert config.seeds == (Address("10.0.0.1", 7000),)
    assert config.options.seeds == ("10.0.0.1:7000",)
    assert (config.listen, config.advertise) == (Address("0.0.0.0", 7000), Address("10.0.0.4", 7000))
    certs = tmp_path / "certs"
    assert config.tls == (certs / "n1.pem", certs / "n1.key", certs / "ca.pem")
    assert config.pinned == {"n2": Address("10.0.0.9", 7001)}
    path.write_text(begins + MORE_KEYS.partition("insecure")[0])
    assert load(path).secret_file == tmp_path / "secret"


def test_times_are_given_in_the_units_of_their_names(tmp_path: Path) -> None:
    timing = "{probe_ms = 200, compare_s = 0, scrub_s = 60, tombstone_grace_s = 20, hint_life_s = 10}"
    options = load(written(tmp_path, timing=timing)).options
    assert options.probe_nanos == 200 * MS
    assert options.compare_nanos == 0
    assert options.scrub_nanos == 60 * SECOND
    assert (options.tombstone_grace_nanos, options.hint_life_nanos) == (20 * SECOND, 10 * SECOND)


def test_defaults_suit_a_single_node(tmp_path: Path) -> None:
    config = load(written(tmp_path, peers=None))
    assert (config.nodes, config.peers, config.replication, config.vnodes) == (("n1",), {}, 1, 64)


def test_the_order_of_peers_and_naming_itself_make_no_difference(tmp_path: Path) -> None:
    one = load(written(tmp_path, peers='{n3 = "127.0.0.1:3", n2 = "127.0.0.1:2"}'))
    other = load(written(tmp_path, peers='{n1 = "127.0.0.1:9", n2 = "127.0.0.1:2", n3 = "127.0.0.1:3"}'))
    assert one == other


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"colour": '"red"'}, r"key 'colour' is unknown; allowed are name, cluster, listen"),
        ({"name": None}, r"key 'name' is missing; required are name, cluster, listen, data"),
        ({"data": None}, r"key 'data' is missing"),
        ({"name": "1"}, r"key 'name' must be a string, not 1"),
        ({"replication": '"3"'}, r"key 'replication' must be a whole number, not '3'"),
        ({"replication": "true"}, r"key 'replication' must be a whole number, not True"),
        ({"allow_remote": "1"}, r"key 'allow_remote' must be true or false, not 1"),
        ({"peers": '"n2"'}, r"key 'peers' must be a table"),
        ({"name": '"a b"'}, r"key 'name': 'a b' is no name; allowed are 1 to 64 letters"),
        ({"name": '"-"'}, r"key 'name': '-' is no name"),
        ({"cluster": f'"{"c" * 65}"'}, r"key 'cluster': .* is no name"),
        ({"data": '""'}, r"key 'data' must be a path, not ''"),
        ({"listen": '"7000"'}, r"key 'listen': '7000' is no address; write HOST:PORT"),
        ({"listen": '"127.0.0.1:99999"'}, r"with a port up to 65535"),
        ({"listen": '"0.0.0.0:7000"'}, r"key 'listen': '0.0.0.0:7000' can be reached from other machines"),
        (
            {"listen": '"example.org:7000"'},
            r"allowed are loopback addresses, or any with allow_remote = true",
        ),
        ({"peers": '{n2 = "nowhere"}'}, r"key 'peers.n2': 'nowhere' is no address"),
        ({"peers": '{n2 = "127.0.0.1:0"}'}, r"key 'peers.n2': '127.0.0.1:0' has no port that can be reached"),
        ({"peers": "{n2 = 7000}"}, r"key 'peers.n2' must be a string HOST:PORT, not 7000"),
        ({"peers": '{"n 2" = "127.0.0.1:1"}'}, r"key 'peers': 'n 2' is no name"),
        ({"peers": '{n2 = "h:1", n3 = "h:1"}'}, r"key 'peers': n2 and n3 have the same address h:1"),
        ({"peers": '{n2 = "a..b:1"}'}, r"key 'peers.n2': 'a..b:1' is no address"),
        (
            {"listen": '"127.0.0.1:7001"'},
            r"key 'peers': n1 \(that is 'listen'\) and n2 have the same address 127.0.0.1:7001",
        ),
        ({"replication": "4"}, r"key 'replication' must be 1 to 3, the number of nodes, not 4"),
        ({"replication": "0"}, r"must be 1 to 3"),
        ({"vnodes": "0"}, r"key 'vnodes' must be 1 to 4096, not 0"),
        ({"vnodes": "4097"}, r"key 'vnodes' must be 1 to 4096"),
        ({"http": '"7000"'}, r"key 'http': '7000' is no address"),
        (
            {"listen": '"127.0.0.1:7"', "http": '"127.0.0.1:7"'},
            r"key 'http': .* is what 'listen' says already",
        ),
        ({"http": '"0.0.0.0:8000"'}, r"key 'http': '0.0.0.0:8000' can be reached from other machines"),
        (
            {"http": '"10.0.0.1:8000"', "allow_remote": "true", "insecure": "true"},
            r"key 'http': whoever reaches '10.0.0.1:8000' could read and change everything, as there is "
            r"neither 'tls' nor 'secret_file'; allowed are loopback addresses, or any with one of these",
        ),
        (
            {"listen": '"10.0.0.1:7000"', "allow_remote": "true"},
            r"key 'listen': whoever reaches '10.0.0.1:7000' could read and change everything, as there is "
            r"neither 'tls' nor 'secret_file'; allowed are loopback addresses, or any with insecure = true",
        ),
        (
            {"listen": '"0.0.0.0:7000"', "allow_remote": "true", "insecure": "true"},
            r"key 'advertise' is missing: the others cannot find this node at '0.0.0.0:7000'",
        ),
        ({"advertise": '"h:0"'}, r"key 'advertise': 'h:0' has no port that can be reached"),
        ({"insecure": "true", "secret_file": '"s"'}, r"key 'insecure' and a form of proof"),
        (
            {"tls": '{cert = "c", key = "k", ca = "a"}', "secret_file": '"s"'},
            r"keys 'tls' and 'secret_file' exclude each other",
        ),
        ({"tls": '{cert = "c"}'}, r"key 'tls.key' is missing; required are cert, key, ca"),
        ({"tls": '{cert = "c", key = "k", ca = ""}'}, r"key 'tls.ca' must be a path, not ''"),
        ({"tls": '{colour = "c"}'}, r"key 'tls.colour' is unknown; allowed are cert, key, ca"),
        ({"secret_file": '""'}, r"key 'secret_file' must be a path"),
        ({"log": '"xml"'}, r"key 'log' must be text or json, not 'xml'"),
        ({"reserve_mb": "-1"}, r"key 'reserve_mb' must be 0 to 1048576, not -1"),
        ({"seeds": '"h:1"'}, r"key 'seeds' must be a list"),
        ({"seeds": "[1]"}, r"key 'seeds' must be a string HOST:PORT, not 1"),
        ({"seeds": '["h:0"]'}, r"key 'seeds': 'h:0' has no port"),
        ({"seeds": str(["h:1"] * 17)}, r"key 'seeds' must have at most 16 addresses, not 17"),
        ({"join": "true", "peers": None}, r"key 'join': a node that joins needs 'seeds' or 'peers'"),
        ({"join": "true", "replication": "3"}, r"key 'replication': a node that joins .* learns that"),
        ({"join": "true", "buckets": "{b = {}}"}, r"key 'buckets': a node that joins"),
        ({"pinned": '{n2 = "h"}'}, r"key 'pinned.n2': 'h' is no address"),
        ({"buckets": "{b = 3}"}, r"key 'buckets.b' must be a table, not 3"),
        ({"buckets": '{"a/b" = {}}'}, r"key 'buckets.a/b': 'a/b' is no name"),
        ({"buckets": "{b = {n = 4}}"}, r"key 'buckets.b.n' must be 1 to 3, not 4"),
        ({"buckets": '{b = {conflict = "none"}}'}, r"'buckets.b.conflict' must be one of lww, siblings"),
        ({"buckets": "{b = {m = 1}}"}, r"key 'buckets.b.m' is unknown; allowed are n, conflict"),
        ({"timing": "{probe_s = 1}"}, r"key 'timing.probe_s' is unknown; allowed are probe_ms, compare_s"),
        ({"timing": "{probe_ms = 1.5}"}, r"key 'timing.probe_ms' must be a whole number, not 1.5"),
        ({"timing": "{probe_ms = -1}"}, r"key 'timing.probe_ms' must be 0 to 60000, not -1"),
        (
            {"timing": "{hint_life_s = 100, tombstone_grace_s = 100}"},
            r"key 'timing.hint_life_s' must be less than tombstone_grace_s \(100\), not 100",
        ),
        ({"peers": '{n2 = "h:1", n2 = "h:2"}'}, r"is not TOML: "),
        ({"name": "="}, r"is not TOML: "),
        ({"vnodes": "9" * 5000}, r"is not TOML: "),
        ({"name": "[" * 5000}, r"is not TOML: "),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, changes: dict[str, str], why: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError, match=why) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml: is not TOML: "):
        load(tmp_path / "latin.toml")


def test_other_machines_are_let_in_only_when_told_so(tmp_path: Path) -> None:
    remote = {"listen": '"10.0.0.1:7000"', "allow_remote": "true"}
    for proof in (
        {"insecure": "true"},
        {"secret_file": '"s"'},
        {"tls": '{cert = "c", key = "k", ca = "a"}'},
    ):
        assert load(written(tmp_path, **remote, **proof)).listen == Address("10.0.0.1", 7000)
    for loopback in ("127.3.2.1:1", "localhost:1", "[::1]:1"):
        assert load(written(tmp_path, listen=f'"{loopback}"')).listen.port == 1


@pytest.mark.parametrize("text", ["127.0.0.1:7000", "[::1]:7000", "node.example:1"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", ":7000", "host", "host:", "host:x", "::1:7000", "host:-1", "host:1_0", "h:٣"),
        *("a..b:1", f"{'x' * 64}:1", "a\0b:1", "\udcff:1", "a b:1", "[]:1"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        parse_address(text)
