"""A node's configuration: one TOML file, checked whole before anything is opened.

Membership is what the file says; that it changes while the node runs is left to later protocols.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from msgspec import Struct

from store.core.messages import NAME_CHARS_MAX

REPLICATION_DEFAULT: Final = 3
VNODES_DEFAULT: Final = 64
VNODES_MAX: Final = 4096

EXAMPLE: Final = """\
name = "n1"                     # this node, as the others call it
cluster = "demo"                # nodes and clients of another cluster are turned away
listen = "127.0.0.1:7000"       # port 0: any free one (the "ready" line says which)
data = "data/n1"                # directory, from this file's own; made if missing
replication = 3                 # copies of each key; default 3, or all nodes if they are fewer
vnodes = 64                     # points of each node on the ring; default 64
allow_remote = false            # true: "listen" may be other than loopback (nothing is encrypted)

[peers]                         # the nodes of the cluster, itself included or not
n1 = "127.0.0.1:7000"
n2 = "127.0.0.1:7001"
n3 = "127.0.0.1:7002"
"""

_KEYS: Final[dict[str, type]] = {
    "name": str,
    "cluster": str,
    "listen": str,
    "data": str,
    "replication": int,
    "vnodes": int,
    "allow_remote": bool,
    "peers": dict,
}
_REQUIRED: Final = ("name", "cluster", "listen", "data")
_TYPE_NAMES: Final = {str: "a string", int: "a whole number", bool: "true or false", dict: "a table"}
T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ConfigError(Exception):
    """One sentence that names the file, the key and what is allowed."""


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NodeConfig(Struct, frozen=True):
    """`peers` are the other nodes' addresses, without this node; `nodes` all names, sorted."""

    name: str
    cluster: str
    listen: Address
    data: Path
    nodes: tuple[str, ...]
    peers: Mapping[str, Address]
    replication: int
    vnodes: int


def load(path: Path) -> NodeConfig:
    """Read and check the file; raises `ConfigError`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    try:
        return _checked(table, path.parent)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_address(text: str) -> Address:
    """`HOST:PORT` or `[IPV6]:PORT`, port 0 to 65535; raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and _is_host(host) and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535):
        raise ValueError(f"{text!r} is no address; write HOST:PORT, or [IPV6]:PORT, with a port up to 65535")
    return Address(host, int(port))


def parse_name(text: str) -> str:
    """`text` if it can name a node or a cluster; raises `ValueError`."""
    if len(text) > NAME_CHARS_MAX or not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name; allowed are 1 to {NAME_CHARS_MAX} letters, digits, "
            "'.', '_' and '-', a letter or digit first"
        )
    return text


def _is_host(text: str) -> bool:
    """Whether the system's resolver would take `text` at all, not whether it knows it."""
    try:
        return text.isprintable() and " " not in text and bool(text.encode("idna"))
    except UnicodeError:
        return False


def _checked(table: dict[str, Any], base: Path) -> NodeConfig:
    _check_shape(table)
    name = _parsed(parse_name, "name", table["name"])
    cluster = _parsed(parse_name, "cluster", table["cluster"])
    listen = _listen(table["listen"], table.get("allow_remote", False))
    peers = {
        _parsed(parse_name, "peers", peer): _peer(peer, at) for peer, at in table.get("peers", {}).items()
    }
    peers.pop(name, None)
    _check_distinct({f"{name} (that is 'listen')": listen, **peers})
    nodes = tuple(sorted((name, *peers)))
    return NodeConfig(
        name=name,
        cluster=cluster,
        listen=listen,
        data=base / _filled("data", table["data"]),
        nodes=nodes,
        peers=peers,
        replication=_replication(table, nodes),
        vnodes=_between("vnodes", table.get("vnodes", VNODES_DEFAULT), VNODES_MAX),
    )


def _check_shape(table: dict[str, Any]) -> None:
    for key, value in table.items():
        expected = _KEYS.get(key)
        if expected is None:
            raise ValueError(f"key {key!r} is unknown; allowed are {', '.join(_KEYS)}")
        if type(value) is not expected:
            raise ValueError(f"key {key!r} must be {_TYPE_NAMES[expected]}, not {value!r}")
    for key in _REQUIRED:
        if key not in table:
            raise ValueError(f"key {key!r} is missing; required are {', '.join(_REQUIRED)}")


def _filled(key: str, text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(f"key {key!r} must be a path, not {text!r}")
    return text


def _parsed(parse: Callable[[str], T], key: str, text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"key {key!r}: {error}") from None


def _peer(name: str, text: Any) -> Address:
    key = f"peers.{name}"
    if type(text) is not str:
        raise ValueError(f"key {key!r} must be a string HOST:PORT, not {text!r}")
    address = _parsed(parse_address, key, text)
    if address.port == 0:
        raise ValueError(f"key {key!r}: {text!r} has no port that can be reached; allowed are 1 to 65535")
    return address


def _listen(text: str, allow_remote: bool) -> Address:
    address = _parsed(parse_address, "listen", text)
    if not allow_remote and not _is_loopback(address.host):
        raise ValueError(
            f"key 'listen': {text!r} can be reached from other machines; "
            "allowed are loopback addresses, or any with allow_remote = true"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_distinct(addresses: Mapping[str, Address]) -> None:
    owners: dict[Address, str] = {}
    for name, address in addresses.items():
        other = owners.setdefault(address, name)
        if other != name:
            raise ValueError(f"key 'peers': {other} and {name} have the same address {address}")


def _replication(table: dict[str, Any], nodes: tuple[str, ...]) -> int:
    value: int = table.get("replication", min(REPLICATION_DEFAULT, len(nodes)))
    if not 1 <= value <= len(nodes):
        raise ValueError(
            f"key 'replication' must be 1 to {len(nodes)}, the number of nodes, not {value} "
            f"(the nodes are {', '.join(nodes)})"
        )
    return value


def _between(key: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise ValueError(f"key {key!r} must be 1 to {most}, not {value}")
    return value
