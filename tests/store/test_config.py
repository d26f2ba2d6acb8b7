"""A node's configuration: what is right is read, and what is wrong is named, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.config import EXAMPLE, Address, ConfigError, load, parse_address

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
    config = load(written(tmp_path, listen='"0.0.0.0:7000"', allow_remote="true"))
    assert config.listen == Address("0.0.0.0", 7000)
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
