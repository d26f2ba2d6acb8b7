"""A node's configuration: one TOML file, checked whole before anything is opened.

What the file says of the cluster (its nodes, replication, buckets) is how the cluster *began*; nodes that
come and go later are agreed on by the nodes themselves, and no file needs to be changed for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

from msgspec import Struct

from store.core.messages import REPLICATION_MAX, Bucket, Conflict
from store.core.options import MS, SECOND, Options
from store.net.address import Address, is_loopback, is_wildcard, parse_address, parse_name
from store.net.wire import POINTS_MAX

__all__ = [
    "EXAMPLE",
    "MORE_KEYS",
    "Address",
    "ConfigError",
    "NodeConfig",
    "TlsFiles",
    "load",
    "parse_address",
    "parse_name",
]

REPLICATION_DEFAULT: Final = 3
VNODES_DEFAULT: Final = 64
VNODES_MAX: Final = 4096
RESERVE_MB_DEFAULT: Final = 64
RESERVE_MB_MAX: Final = 1 << 20
SEEDS_MAX: Final = 16
BUCKETS_MAX: Final = 100

EXAMPLE: Final = """\
name = "n1"                     # this node, as the others call it
cluster = "demo"                # nodes and clients of another cluster are turned away
listen = "127.0.0.1:7000"       # port 0: any free one (the "ready" line says which)
data = "data/n1"                # directory, from this file's own, as all paths here; made if missing
http = "127.0.0.1:8000"         # also serve HTTP here: /healthz, /status, /metrics, /kv/...; default: not.
                                # With [tls] it is HTTPS; with secret_file, a token is demanded
log = "text"                    # lines on stderr; or "json"
reserve_mb = 64                 # with less room than this on the disk, writes are refused;
                                # with less than 32 MB, a node may not start until there is more

# How the cluster begins; the same on all nodes that begin it.
replication = 3                 # copies of each key; default 3, or all nodes if they are fewer
vnodes = 64                     # points of each node on the ring; default 64

[peers]                         # the nodes that begin the cluster, itself included or not, and where they
n1 = "127.0.0.1:7000"           # are at first; that one has moved, or that others came, is told by gossip
n2 = "127.0.0.1:7001"
n3 = "127.0.0.1:7002"

[buckets.carts]                 # the keys that begin with "carts/"
n = 3                           # copies of each; default: replication
conflict = "siblings"           # lww (default), siblings, counter, set or map

[timing]                        # the defaults
probe_ms = 1000                 # how often gossip asks another node whether it is alive; 0: no gossip
compare_s = 10                  # how often what is kept is compared with another replica; 0: never
scrub_s = 86400                 # how long it takes to read all that is kept and mend damage; 0: never
tombstone_grace_s = 86400       # how long a deletion is remembered at least
hint_life_s = 10800             # how long a write is kept for a node that is away; less than the grace
transfer_per_second = 2000      # records that a new owner takes over
"""

MORE_KEYS: Final = """\
join = true                     # comes to a cluster that runs: learns from the others what there is, asks for
                                # a part, and gets it; neither replication, vnodes nor buckets are given
seeds = ["10.0.0.1:7000"]       # nodes that know the others, by address alone
listen = "0.0.0.0:7000"         # reached from other machines, so allow_remote and a form of proof are needed
advertise = "10.0.0.4:7000"     # where the others find this node; needed if "listen" does not say so
allow_remote = true
secret_file = "secret"          # labs: who does not know the secret is turned away; nothing is encrypted
insecure = true                 # or: everybody is let in and believed

[tls]                           # who has no certificate of the cluster's authority is turned away, and all is
cert = "certs/n1.pem"           # encrypted; "kv certs init" makes them
key = "certs/n1.key"
ca = "certs/ca.pem"

[pinned]                        # where this node finds others, whatever gossip says (a proxy, say)
n2 = "10.0.0.9:7001"
"""

_KEYS: Final[dict[str, type]] = {
    "name": str,
    "cluster": str,
    "listen": str,
    "data": str,
    "http": str,
    "log": str,
    "reserve_mb": int,
    "replication": int,
    "vnodes": int,
    "join": bool,
    "seeds": list,
    "advertise": str,
    "allow_remote": bool,
    "insecure": bool,
    "secret_file": str,
    "tls": dict,
    "peers": dict,
    "pinned": dict,
    "buckets": dict,
    "timing": dict,
}
_REQUIRED: Final = ("name", "cluster", "listen", "data")
_TLS_KEYS: Final[dict[str, type]] = {"cert": str, "key": str, "ca": str}
_BUCKET_KEYS: Final[dict[str, type]] = {"n": int, "conflict": str}
_LEARNT: Final = ("replication", "vnodes", "buckets")
"""What a node that joins learns from the others."""
_TIMING: Final[dict[str, tuple[str, int, int, int]]] = {
    "probe_ms": ("probe_nanos", MS, 0, 60_000),
    "compare_s": ("compare_nanos", SECOND, 0, 86_400),
    "scrub_s": ("scrub_nanos", SECOND, 0, 365 * 86_400),
    "tombstone_grace_s": ("tombstone_grace_nanos", SECOND, 1, 3650 * 86_400),
    "hint_life_s": ("hint_life_nanos", SECOND, 1, 3650 * 86_400),
    "transfer_per_second": ("transfer_per_second", 1, 1, 1_000_000),
}
"""Which option each sets, in what unit, and from what to what."""
_TYPE_NAMES: Final = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}
T = TypeVar("T")


class ConfigError(Exception):
    """One sentence that names the file, the key and what is allowed."""


class TlsFiles(NamedTuple):
    cert: Path
    key: Path
    ca: Path


class NodeConfig(Struct, frozen=True):
    """`nodes` are all that begin the cluster, sorted, and `peers` where the others are; a node that joins
    (`join`) is none of them. `pinned` addresses hold whatever else is heard. `options` lack the node's own
    address, which is known once it listens."""

    name: str
    cluster: str
    listen: Address
    data: Path
    nodes: tuple[str, ...]
    peers: Mapping[str, Address]
    replication: int
    vnodes: int
    buckets: tuple[Bucket, ...] = ()
    join: bool = False
    seeds: tuple[Address, ...] = ()
    pinned: Mapping[str, Address] = {}
    advertise: Address | None = None
    options: Options = Options()
    tls: TlsFiles | None = None
    secret_file: Path | None = None
    http: Address | None = None
    reserve_mb: int = RESERVE_MB_DEFAULT
    log: Literal["text", "json"] = "text"


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


def _checked(table: dict[str, Any], base: Path) -> NodeConfig:
    _check_shape("", table, _KEYS, _REQUIRED)
    name = _parsed(parse_name, "name", table["name"])
    cluster = _parsed(parse_name, "cluster", table["cluster"])
    listen = _parsed(parse_address, "listen", table["listen"])
    http = _parsed(parse_address, "http", table["http"]) if "http" in table else None
    peers = _addresses("peers", table.get("peers", {}))
    peers.pop(name, None)
    _check_distinct({f"{name} (that is 'listen')": listen, **peers})
    if http == listen and http.port:
        raise ValueError(f"key 'http': {http} is what 'listen' says already")
    join = table.get("join", False)
    nodes = tuple(sorted((name, *peers)))
    seeds = _seeds(table.get("seeds", []))
    if join:
        _check_joiner(table, peers, seeds)
    replication = _replication(table, nodes)
    tls = _tls(table["tls"], base) if "tls" in table else None
    secret_file = base / _filled("secret_file", table["secret_file"]) if "secret_file" in table else None
    _check_exposure(table, listen, http, tls, secret_file)
    return NodeConfig(
        name=name,
        cluster=cluster,
        listen=listen,
        data=base / _filled("data", table["data"]),
        nodes=nodes,
        peers=peers,
        replication=replication,
        vnodes=_vnodes(table, nodes),
        buckets=_buckets(table.get("buckets", {}), replication, nodes),
        join=join,
        seeds=seeds,
        pinned=_addresses("pinned", table.get("pinned", {})),
        advertise=_advertised(table, listen),
        options=_options(table.get("timing", {}), peers, seeds),
        tls=tls,
        secret_file=secret_file,
        http=http,
        reserve_mb=_between("reserve_mb", table.get("reserve_mb", RESERVE_MB_DEFAULT), 0, RESERVE_MB_MAX),
        log=_log(table.get("log", "text")),
    )


def _check_shape(
    where: str, table: Mapping[str, Any], keys: Mapping[str, type], required: tuple[str, ...] = ()
) -> None:
    """`where` is what the keys' names begin with."""
    for key, value in table.items():
        expected = keys.get(key)
        if expected is None:
            raise ValueError(f"key {where + key!r} is unknown; allowed are {', '.join(keys)}")
        if type(value) is not expected:
            raise ValueError(f"key {where + key!r} must be {_TYPE_NAMES[expected]}, not {value!r}")
    for key in required:
        if key not in table:
            raise ValueError(f"key {where + key!r} is missing; required are {', '.join(required)}")


def _check_joiner(table: dict[str, Any], peers: Mapping[str, Address], seeds: tuple[Address, ...]) -> None:
    for key in _LEARNT:
        if key in table:
            raise ValueError(f"key {key!r}: a node that joins (join = true) learns that from the others")
    if not peers and not seeds:
        raise ValueError("key 'join': a node that joins needs 'seeds' or 'peers', to find the others")


def _check_exposure(
    table: dict[str, Any],
    listen: Address,
    http: Address | None,
    tls: TlsFiles | None,
    secret_file: Path | None,
) -> None:
    """Whatever can be reached from other machines must be meant to, and demand proof."""
    insecure = table.get("insecure", False)
    if tls is not None and secret_file is not None:
        raise ValueError("keys 'tls' and 'secret_file' exclude each other; give one of them")
    if insecure and (tls or secret_file):
        raise ValueError("key 'insecure' and a form of proof ('tls' or 'secret_file') exclude each other")
    for key, address in (("listen", listen), ("http", http)):
        if address is None or is_loopback(address.host):
            continue
        if not table.get("allow_remote", False):
            raise ValueError(
                f"key {key!r}: '{address}' can be reached from other machines; "
                "allowed are loopback addresses, or any with allow_remote = true"
            )
        if not (tls or secret_file or (insecure and key == "listen")):
            other = "insecure = true" if key == "listen" else "one of these"
            raise ValueError(
                f"key {key!r}: whoever reaches '{address}' could read and change everything, as there is "
                f"neither 'tls' nor 'secret_file'; allowed are loopback addresses, or any with {other}"
            )


def _filled(key: str, text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(f"key {key!r} must be a path, not {text!r}")
    return text


def _parsed(parse: Callable[[str], T], key: str, text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"key {key!r}: {error}") from None


def _addresses(key: str, table: Mapping[str, Any]) -> dict[str, Address]:
    return {_parsed(parse_name, key, name): _reachable(f"{key}.{name}", at) for name, at in table.items()}


def _seeds(texts: list[Any]) -> tuple[Address, ...]:
    if len(texts) > SEEDS_MAX:
        raise ValueError(f"key 'seeds' must have at most {SEEDS_MAX} addresses, not {len(texts)}")
    return tuple([_reachable("seeds", text) for text in texts])


def _reachable(key: str, text: Any) -> Address:
    if type(text) is not str:
        raise ValueError(f"key {key!r} must be a string HOST:PORT, not {text!r}")
    address = _parsed(parse_address, key, text)
    if address.port == 0:
        raise ValueError(f"key {key!r}: {text!r} has no port that can be reached; allowed are 1 to 65535")
    return address


def _advertised(table: dict[str, Any], listen: Address) -> Address | None:
    """None: where it listens."""
    if "advertise" in table:
        return _reachable("advertise", table["advertise"])
    if is_wildcard(listen.host):
        raise ValueError(
            f"key 'advertise' is missing: the others cannot find this node at '{listen}', which means any "
            "address of this machine"
        )
    return None


def _tls(table: dict[str, Any], base: Path) -> TlsFiles:
    _check_shape("tls.", table, _TLS_KEYS, tuple(_TLS_KEYS))
    return TlsFiles(*(base / _filled(f"tls.{key}", table[key]) for key in _TLS_KEYS))


def _buckets(table: dict[str, Any], replication: int, nodes: tuple[str, ...]) -> tuple[Bucket, ...]:
    buckets = []
    for name, settings in sorted(table.items()):
        key = f"buckets.{name}"
        _parsed(parse_name, key, name)
        if type(settings) is not dict:
            raise ValueError(f"key {key!r} must be a table, not {settings!r}")
        _check_shape(f"{key}.", settings, _BUCKET_KEYS)
        conflict = settings.get("conflict", "lww")
        if conflict not in get_args(Conflict):
            allowed = ", ".join(get_args(Conflict))
            raise ValueError(f"key '{key}.conflict' must be one of {allowed}, not {conflict!r}")
        n = _between(f"{key}.n", settings.get("n", replication), 1, min(len(nodes), REPLICATION_MAX))
        buckets.append(Bucket(name, n, conflict))
    if len(buckets) > BUCKETS_MAX:
        raise ValueError(f"key 'buckets' must have at most {BUCKETS_MAX} buckets, not {len(buckets)}")
    return tuple(buckets)


def _options(table: dict[str, Any], peers: Mapping[str, Address], seeds: tuple[Address, ...]) -> Options:
    _check_shape("timing.", table, dict.fromkeys(_TIMING, int))
    paces: dict[str, Any] = {}
    for key, value in table.items():
        option, unit, least, most = _TIMING[key]
        paces[option] = unit * _between(f"timing.{key}", value, least, most)
    options = Options(
        peers={peer: str(address) for peer, address in peers.items()},
        seeds=tuple(map(str, seeds)),
        **paces,
    )
    if options.hint_life_nanos >= options.tombstone_grace_nanos:
        raise ValueError(
            "key 'timing.hint_life_s' must be less than tombstone_grace_s "
            f"({options.tombstone_grace_nanos // SECOND}), not {options.hint_life_nanos // SECOND}: "
            "a late hint would bring back what was deleted"
        )
    return options


def _log(text: str) -> Literal["text", "json"]:
    match text:
        case "text" | "json":
            return text
    raise ValueError(f"key 'log' must be text or json, not {text!r}")


def _check_distinct(addresses: Mapping[str, Address]) -> None:
    owners: dict[Address, str] = {}
    for name, address in addresses.items():
        other = owners.setdefault(address, name)
        if other != name:
            raise ValueError(f"key 'peers': {other} and {name} have the same address {address}")


def _replication(table: dict[str, Any], nodes: tuple[str, ...]) -> int:
    value: int = table.get("replication", min(REPLICATION_DEFAULT, len(nodes)))
    if not 1 <= value <= min(len(nodes), REPLICATION_MAX):
        raise ValueError(
            f"key 'replication' must be 1 to {min(len(nodes), REPLICATION_MAX)}, the number of nodes, "
            f"not {value} (the nodes are {', '.join(nodes)})"
        )
    return value


def _vnodes(table: dict[str, Any], nodes: tuple[str, ...]) -> int:
    return _between(
        "vnodes", table.get("vnodes", VNODES_DEFAULT), 1, min(VNODES_MAX, POINTS_MAX // len(nodes))
    )


def _between(key: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"key {key!r} must be {least} to {most}, not {value}")
    return value
