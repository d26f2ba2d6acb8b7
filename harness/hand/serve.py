"""The hand at work: it answers the harness, and undoes everything when it hears nothing of it any more.

Lines of JSON both ways, in the order in which they come. The harness says `{"n": 7, "operation": "cut",
"args": {...}}`, or nothing but an empty line, which shows that it is alive. The hand first says
`{"hello": {...}}`, then answers each request with its `n` and one of `result`, `refused` (a sentence) and
`error` (of the hand itself); ending unasked, it says `{"ended": why, "undone": [...], "failed": [...]}`.

Nothing depends on how the harness ends: that its input is over only means that nothing is heard until the run
comes back, which harness/hand/door.py tells of. It then says `{"taken_up": true}`, and is asked again what it
has not answered: the last request is known by its `n`, so it is carried out once and answered twice. The hand
leaves the session it was started in, so that nothing which ends that ends it. It is two processes: one that
works, and one that only waits for it, and heals if it was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from harness.hand import origin, place
from harness.hand.context import Context, Operation, Refused, Undoer
from harness.hand.door import Channel, Door
from harness.hand.healing import LOG, heal_home, reason
from harness.hand.limit import TooLong, limited
from harness.hand.patience import Patience
from harness.hand.proc import identify
from harness.hand.undo import UndoLog

GOODBYE = "goodbye"
"""The operation that heals and ends the hand; its result is what was undone."""
LINE_BYTES_MAX = 4 * 1024 * 1024
OPERATION_LIMIT_S = 20.0
SAY_LIMIT_S = 5.0
HAND_LOG = "hand.log"
_CHUNK = 1 << 16


def now() -> float:
    """Seconds by a clock that no fault moves or bends."""
    return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)


def serve(
    home: Path, silence_s: float, operations: Mapping[str, Operation], undoers: Mapping[str, Undoer]
) -> int:
    """Heal what an earlier hand left, answer until there is a reason to end, and heal again. The exit status
    is 0 when everything of this hand went well."""
    lock = place.Lock(home)
    if not lock.take():
        pid, *_ = lock.read().get("holder", ["that just began"])
        _said(1, {"refused": f"it is in use by another run (process {pid} there)"})
        return 1
    with suppress(PermissionError):  # it leads a session already
        os.setsid()
    _heed_what_was_ignored()
    signal.signal(signal.SIGHUP, _nothing)  # a handler, which no program inherits that it starts
    log = os.open(home / HAND_LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    no_mounts = place.mounts_of_our_own()
    worker = os.fork()
    if worker == 0:
        status = 1
        try:
            status = _work(home, silence_s, operations, undoers, lock, no_mounts)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return _guard(worker, home, undoers, lock)


def _guard(worker: int, home: Path, undoers: Mapping[str, Undoer], lock: place.Lock) -> int:
    """Wait for the process that works; when it did not come to its own end, heal in its place."""
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(worker, signal.SIGTERM))
    status = os.waitpid(worker, 0)[1]
    signal.signal(signal.SIGTERM, _nothing)
    if status == 0:
        return 0
    how = f"was killed by signal {status}" if os.WIFSIGNALED(status) else "broke"
    ended = {"ended": f"its working process {how}", **heal_home(home, undoers).tell()}
    _note(lock, ended)
    _said(1, ended)
    return 1


def _work(
    home: Path,
    silence_s: float,
    operations: Mapping[str, Operation],
    undoers: Mapping[str, Undoer],
    lock: place.Lock,
    no_mounts: str,
) -> int:
    wake = _on_sigterm()
    lock.write({"holder": identify(os.getpid())})
    origin.remember(os.getpid())
    channel = _take_channel()
    left = heal_home(home, undoers)
    context = Context(home, UndoLog(home / LOG), no_mounts=no_mounts)
    door = Door(home, lock.token)
    worker = Worker(context, operations, channel, door)
    worker.say({"hello": {**place.who(), "token": lock.token, "no_mounts": no_mounts, **left.tell()}})
    why = worker.listen(silence_s, wake)
    door.close()
    healing = heal_home(home, undoers)
    ended = {"ended": why, **healing.tell()}
    if worker.goodbye is None:
        _note(lock, ended)
        worker.say(ended)
    else:
        lock.write({"n": worker.goodbye, **ended})
        worker.say({"n": worker.goodbye, "result": healing.tell()})
    return 0


class Worker:
    """`goodbye` is the number of the request to end, once there was one."""

    def __init__(
        self, context: Context, operations: Mapping[str, Operation], channel: Channel, door: Door
    ) -> None:
        self.goodbye: Optional[int] = None
        self._context = context
        self._operations = operations
        self._channel: Optional[Channel] = channel
        self._door = door
        self._unread = b""
        self._answered: Dict[str, Any] = {"n": -1}
        """The last answer."""

    def listen(self, silence_s: float, wake: int) -> str:
        """Answer until there is a reason to end; which. A byte on `wake` is a signal's number."""
        silence = Patience(silence_s, now)
        while self.goodbye is None:
            ready = self._ready(wake, min(max(silence.left_s, 0.0), silence.slice_s))  # below 0 is for ever
            was_long = silence.is_over()
            if wake in ready and signal.SIGTERM in os.read(wake, 4096):
                return "it was asked to end (SIGTERM)"
            if self._door.fileno() in ready and self._takes_up_again():
                silence = Patience(silence_s, now)
            elif self._channel is not None and self._channel.source in ready:
                data = b""
                with suppress(OSError):  # a socket says so when what we said last was not read
                    data = os.read(self._channel.source, _CHUNK)
                if not data:
                    self._hang_up()
                    continue
                self._take(data)
                silence = Patience(silence_s, now)
                if len(self._unread) > LINE_BYTES_MAX:
                    return f"it was sent a line of more than {LINE_BYTES_MAX:,} bytes"
            elif was_long:
                return f"it heard nothing of the harness for {silence_s:g} s"
        return "the harness said goodbye"

    def say(self, value: Dict[str, Any]) -> None:
        """Whether anybody hears it or not. After what was taken in part only, no more is said there."""
        if self._channel is not None and not _said(self._channel.sink, value):
            self._hang_up()

    def _ready(self, wake: int, limit_s: float) -> Dict[int, int]:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._door, select.POLLIN)
        if self._channel is not None:
            poll.register(self._channel.source, select.POLLIN)
        return dict(poll.poll(limit_s * 1000 + 1))

    def _takes_up_again(self) -> bool:
        channel = self._door.let_in()
        if channel is None:
            return False
        self._hang_up()
        self._channel = channel
        self.say({"taken_up": True})
        return True

    def _hang_up(self) -> None:
        channel, self._channel, self._unread = self._channel, None, b""
        if channel is not None:
            channel.close()

    def _take(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line:
                answer = self._answer(line)
                if self.goodbye is not None:
                    return
                self.say(answer)

    def _answer(self, line: bytes) -> Dict[str, Any]:
        try:
            n, operation, args = _request(line)
        except Refused as error:
            return {"n": None, "refused": reason(error)}
        if operation == GOODBYE:
            self.goodbye = n
        elif n < self._answered["n"]:
            return {"n": n, "refused": "it was not asked in time: a later request came before it"}
        elif n > self._answered["n"]:
            self._answered = self._carried_out(n, operation, args)
        return self._answered

    def _carried_out(self, n: int, operation: str, args: Dict[str, Any]) -> Dict[str, Any]:
        try:
            if operation not in self._operations:
                raise Refused(f"the hand knows no operation {operation!r}")
            with limited(OPERATION_LIMIT_S):
                result = self._operations[operation](self._context, args)
            if not isinstance(result, dict):
                raise TypeError(f"{operation} gave no JSON object: {result!r}")
            json.dumps(result, allow_nan=False)
            return {"n": n, "result": result}
        except Refused as error:
            return {"n": n, "refused": reason(error)}
        except (Exception, TooLong) as error:
            traceback.print_exc()
            return {"n": n, "error": reason(error)}


def _request(line: bytes) -> Tuple[int, str, Dict[str, Any]]:
    try:
        value = json.loads(line)
    except ValueError:
        raise Refused("what was sent is no JSON") from None
    if not isinstance(value, dict):
        raise Refused("what was sent is no JSON object")
    n, operation, args = value.get("n"), value.get("operation"), value.get("args")
    if type(n) is not int or not isinstance(operation, str) or not isinstance(args, dict):
        raise Refused('a request is {"n": NUMBER, "operation": NAME, "args": OBJECT}')
    return n, operation, args


def _take_channel() -> Channel:
    """Keep input and output for ourselves: programs that are started find neither."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return Channel(source, sink)


def _on_sigterm() -> int:
    """Where to read the numbers of signals; so that none interrupts anything."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _nothing)
    return reading


def _heed_what_was_ignored() -> None:
    """Programs that we start would go on ignoring what whoever started us did. Those that Python ignores
    itself it gives back to them."""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _said(sink: int, value: Dict[str, Any]) -> bool:
    """Whether it was taken, all of it."""
    line = json.dumps(value).encode() + b"\n"
    with suppress(OSError, TooLong), limited(SAY_LIMIT_S):
        while line:
            line = line[os.write(sink, line) :]
    return not line


def _note(lock: place.Lock, ended: Dict[str, Any]) -> None:
    """For those who come later."""
    lock.write(ended)
    print(json.dumps(ended), file=sys.stderr)


def _nothing(number: int, frame: object) -> None:
    pass
