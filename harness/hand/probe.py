"""Who hears whom, and how long a round takes: ICMP echoes, sent and watched over raw sockets.

A raw socket sees a packet after the chain INPUT has let it pass, so who listens tells for each direction by
itself what comes through; the kernel's own answers serve for rounds. No port has to be open, and no program
has to be there. One thing is left out: hosts that refuse ICMP from each other cannot be probed.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from typing import Any, Dict, List, NamedTuple, Optional, Set

from harness.hand.context import Context, Operation, Value
from harness.hand.iptables import family

CALLS = 8
"""Echoes for each question whether somebody is heard: another fault may let most of them get lost."""
LIMIT_S = 1.0
_STATE = "probe"
_SO_RCVBUFFORCE = 33  # Python has no name for it
_BUFFER_BYTES = 8 << 20
"""Enough for the calls of many nodes at once; an echo takes some times its size."""
_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_LINGER_S = 0.005
"""How long it is watched, after everything was answered, for second answers."""


class Echo(NamedTuple):
    kind: int
    number: int
    body: bytes


def listen(context: Context, token: str, version: int) -> None:
    """From now on note whose calls with that token come in; `heard` ends it."""
    if _STATE in context.state:
        context.state.pop(_STATE).close()
    context.state[_STATE] = _Ear(token.encode(), version)


def heard(context: Context, wanted: List[str], limit_s: float) -> List[str]:
    """The names in the calls that came in, in order; waits up to `limit_s` for those that are wanted."""
    ear = context.state.pop(_STATE, None)
    if ear is None:
        return []
    try:
        return sorted(ear.heard(set(wanted), limit_s))
    finally:
        ear.close()


def call(context: Context, args: Value) -> Value:
    """Send echoes that bear `token` and `name` to the addresses `peers`, by name."""
    body = f"{args['token']} {args['name']}".encode()
    for version, peers in _families(args["peers"]).items():
        with _raw(version) as sock:
            for number in range(CALLS):
                for address in peers.values():
                    _send(sock, version, address, number, body)
    return {}


def rounds(context: Context, args: Value) -> Value:
    """Send `count` echoes of `size_bytes` to each of `peers`, all at once, and watch until nothing has come
    for `quiet_s`, but for no more than `limit_s`.

    For each peer: how many were `answered`, answered `twice` and more, answered after a later one
    (`overtaken`), or came back `spoilt`; the median of the rounds in `round_ms` (None: no answer), and in
    `all_ms` how long it took until the last answer.
    """
    results: Value = {}
    for version, peers in _families(args["peers"]).items():
        with _raw(version) as sock:
            results.update(_rounds(sock, version, peers, args))
    return {"peers": results}


OPERATIONS: Dict[str, Operation] = {"call": call, "rounds": rounds}


class _Ear:
    def __init__(self, token: bytes, version: int) -> None:
        self._token = token
        self._version = version
        self._sock = _raw(version)

    def heard(self, wanted: Set[str], limit_s: float) -> Set[str]:
        names: Set[str] = set()
        deadline = time.monotonic() + limit_s
        while True:
            echo = _receive(self._sock, self._version, 0 if wanted <= names else deadline - time.monotonic())
            if echo is None:
                return names
            token, _, name = echo.body.partition(b" ")
            if token == self._token and echo.kind == _REQUEST[self._version]:
                names.add(name.decode(errors="replace"))

    def close(self) -> None:
        self._sock.close()


class _Rounds:
    """What came back from one peer."""

    def __init__(self) -> None:
        self.seconds: Dict[int, float] = {}
        self.twice = self.overtaken = self.spoilt = 0

    def take(self, number: int, seconds: float, sound: bool) -> None:
        if number in self.seconds:
            self.twice += 1
            return
        self.overtaken += any(number < other for other in self.seconds)
        self.spoilt += not sound
        self.seconds[number] = seconds

    def told(self, spread_s: float) -> Dict[str, Any]:
        order = sorted(self.seconds.values())
        return {
            "answered": len(order),
            "twice": self.twice,
            "overtaken": self.overtaken,
            "spoilt": self.spoilt,
            "round_ms": round(order[len(order) // 2] * 1000, 3) if order else None,
            "all_ms": round(spread_s * 1000, 3),
        }


def _rounds(sock: socket.socket, version: int, peers: Dict[str, str], args: Value) -> Dict[str, Any]:
    count, size_bytes = args["count"], args["size_bytes"]
    mark = os.urandom(8)
    names = sorted(peers)
    sent_at: Dict[int, float] = {}
    found = {name: _Rounds() for name in names}
    ends = dict.fromkeys(names, 0.0)
    began = time.monotonic()
    for number in range(count):
        for place, name in enumerate(names):
            sent_at[number * len(names) + place] = time.monotonic()
            _send(sock, version, peers[name], number, _body(mark, place, size_bytes))
    quiet_since = time.monotonic()
    while True:
        complete = all(len(found[name].seconds) == count for name in names)
        until = min(quiet_since + (_LINGER_S if complete else args["quiet_s"]), began + args["limit_s"])
        echo = _receive(sock, version, until - time.monotonic())
        if echo is None:
            return {name: found[name].told(ends[name]) for name in names}
        place = echo.body[8] if len(echo.body) > 8 else 255
        if echo.kind != _REPLY[version] or echo.body[:8] != mark or place >= len(names):
            continue
        sound = echo.body == _body(mark, place, size_bytes)
        quiet_since = at = time.monotonic()
        name = names[place]
        found[name].take(echo.number, at - sent_at.get(echo.number * len(names) + place, began), sound)
        ends[name] = at - began


def _body(mark: bytes, place: int, size_bytes: int) -> bytes:
    return (mark + bytes([place])).ljust(size_bytes, b".")


def _families(peers: Dict[str, str]) -> Dict[int, Dict[str, str]]:
    found: Dict[int, Dict[str, str]] = {}
    for name, address in peers.items():
        found.setdefault(family(address), {})[name] = address
    return found


def _raw(version: int) -> socket.socket:
    if version == 4:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    sock.setblocking(False)
    return sock


def _send(sock: socket.socket, version: int, address: str, number: int, body: bytes) -> None:
    """A packet that cannot leave is like one that is lost."""
    bare = _HEADER.pack(_REQUEST[version], 0, 0, os.getpid() & 0xFFFF, number)
    checksum = _checksum(bare + body) if version == 4 else 0  # the kernel's task for ICMPv6
    packet = _HEADER.pack(_REQUEST[version], 0, checksum, os.getpid() & 0xFFFF, number) + body
    try:
        sock.sendto(packet, (address, 0))
    except OSError:
        pass


def _receive(sock: socket.socket, version: int, within_s: float) -> Optional[Echo]:
    ready, _, _ = select.select([sock], [], [], max(within_s, 0))
    if not ready:
        return None
    packet = sock.recv(65536)
    if version == 4:
        packet = packet[(packet[0] & 0x0F) * 4 :]
    if len(packet) < _HEADER.size:
        return Echo(-1, 0, b"")
    kind, _, _, _, number = _HEADER.unpack_from(packet)
    return Echo(kind, number, packet[_HEADER.size :])


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
