"""The way back to a hand whose run lost its connection: a socket in its home, on which only root can knock.

`attach` is started over a new connection. It gives the hand its own input and output, and stays for as long
as the hand uses them. The hand takes them only from the run that it works for, which knows the token of
`hello`; the last to come is the one it speaks with. Where no hand is left, `attach` tells how it ended.
"""

from __future__ import annotations

import array
import hmac
import json
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from harness.hand import origin, place
from harness.hand.context import Undoer
from harness.hand.healing import heal_home
from harness.hand.patience import until

SOCKET = "hand.sock"
HANDOVER_LIMIT_S = 1.0
"""For what is sent in the same moment."""
ENDING_LIMIT_S = 120.0
"""How long the end of a hand that no longer listens is waited for: it undoes what it did."""
_POLL_S = 0.01
_TOKEN_BYTES_MAX = 256
_YES, _NO = b"y", b"n"


class Channel(NamedTuple):
    """A conversation's two ends here; `tie`, when closed, ends the process that gave us them."""

    source: int
    sink: int
    tie: Optional[socket.socket] = None

    def close(self) -> None:
        os.close(self.source)
        os.close(self.sink)
        if self.tie is not None:
            self.tie.close()


class Door:
    """Open for as long as the hand answers. Whoever makes one holds the home's lock."""

    def __init__(self, home: Path, token: str) -> None:
        self._path = home / SOCKET
        self._token = token.encode()
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(before)
        self._socket.listen()

    def fileno(self) -> int:
        return self._socket.fileno()

    def let_in(self) -> Optional[Channel]:
        """What whoever knocked brought, if it was our run."""
        caller, _ = self._socket.accept()
        caller.settimeout(HANDOVER_LIMIT_S)
        ends: List[int] = []
        with suppress(OSError):
            process, user, _ = struct.unpack(
                "3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
            token, ends = _received(caller)
            ours = user == os.geteuid() and hmac.compare_digest(token, self._token) and len(ends) == 2
            caller.send(_YES if ours else _NO)
            if ours:
                origin.remember(process)
                return Channel(ends[0], ends[1], caller)
        for end in ends:
            os.close(end)
        caller.close()
        return None

    def close(self) -> None:
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._socket.close()


def attach(home: Path, undoers: Mapping[str, Undoer]) -> int:
    """The token is the first line of the input; more is not read of it here."""
    token = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        token += byte
    answer = _hand_over(home, token)
    if answer == _NO:
        print(json.dumps({"refused": "the hand of another run is there"}), flush=True)
    elif answer != _YES:
        print(json.dumps(_how_it_ended(home, token.decode(), undoers)), flush=True)
    return 0


def _hand_over(home: Path, token: bytes) -> bytes:
    """Its answer, once it is done with what it was given; nothing if no hand listens any more."""
    answer = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as hand, suppress(OSError):
        hand.connect(str(home / SOCKET))
        hand.sendmsg([token], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1]))])
        answer = hand.recv(1)
        if answer == _YES:
            hand.recv(1)
    return answer


def _received(caller: socket.socket) -> Tuple[bytes, List[int]]:
    ends = array.array("i")
    space = socket.CMSG_SPACE(2 * ends.itemsize)
    token, ancillary, _, _ = caller.recvmsg(_TOKEN_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    for _, _, content in ancillary:
        ends.frombytes(content[: len(content) - len(content) % ends.itemsize])
    return token, list(ends)


def _how_it_ended(home: Path, token: str, undoers: Mapping[str, Undoer]) -> Dict[str, Any]:
    """Its last word, which its lock keeps. When it had none, heal in its place, as nobody else has."""
    lock = place.Lock(home)
    if not until(lambda: lock.take() or lock.read().get("token", token) != token, ENDING_LIMIT_S, _POLL_S):
        return {"refused": f"it does not end: it has not healed the host after {ENDING_LIMIT_S:g} s"}
    left = lock.read()
    if left.get("token", token) != token:  # none at all: the host lost it when it restarted
        return {"refused": "another run has been there since"}
    if "ended" not in left:
        place.mounts_of_our_own()  # undoers that unmount shall not meet what others have mounted
        healing = heal_home(home, undoers)
        left = {"ended": "its processes were killed, or the host restarted", **healing.tell()}
        lock.write({"token": token, **left})
    return {key: left[key] for key in ("n", "ended", "undone", "failed") if key in left}
