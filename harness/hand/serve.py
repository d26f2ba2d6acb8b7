"""The hand at work: it answers the harness, and undoes everything when it hears nothing of it any more.

Lines of JSON both ways, in the order in which they come. The harness says `{"n": 7, "operation": "cut",
"args": {...}}`, or nothing but an empty line, which shows that it is alive. The hand first says
`{"hello": {...}}`, then answers each request with its `n` and one of `result`, `refused` (a sentence) and
`error` (of the hand itself); ending unasked, it says `{"ended": why, "undone": [...], "failed": [...]}`.

Nothing depends on how the harness ends: that its input is over only means that nothing will be heard from now
on. The hand leaves the session it was started in, so that nothing which ends that ends it. It is two
processes: one that works, and one that only waits for it, and heals if it was killed.
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

from harness.hand import place
from harness.hand.context import Context, Operation, Refused, Undoer
from harness.hand.healing import LOG, Healing, heal_home, reason
from harness.hand.limit import TooLong, limited
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
        _say(1, {"refused": f"it is in use by another run (process {pid} there)"})
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
    _end(1, lock, f"its working process {how}", heal_home(home, undoers))
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
    source, sink = _take_channel()
    left = heal_home(home, undoers)
    context = Context(home, UndoLog(home / LOG), no_mounts=no_mounts)
    _say(sink, {"hello": {**place.who(), "no_mounts": no_mounts, **left.tell()}})
    worker = Worker(context, operations, source, sink)
    why = worker.listen(silence_s, wake)
    healing = heal_home(home, undoers)
    if worker.goodbye is None:
        _end(sink, lock, why, healing)
    else:
        lock.write({"ended": why, **healing.tell()})
        _say(sink, {"n": worker.goodbye, "result": healing.tell()})
    return 0


class Worker:
    """`goodbye` is the number of the request to end, once there was one."""

    def __init__(self, context: Context, operations: Mapping[str, Operation], source: int, sink: int) -> None:
        self.goodbye: Optional[int] = None
        self._context = context
        self._operations = operations
        self._source = source
        self._sink = sink
        self._unread = b""

    def listen(self, silence_s: float, wake: int) -> str:
        """Answer until there is a reason to end; which. A byte on `wake` is a signal's number."""
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._source, select.POLLIN)
        heard = now()
        while self.goodbye is None:
            ready = dict(poll.poll(max(0.0, heard + silence_s - now()) * 1000 + 1))
            if wake in ready and signal.SIGTERM in os.read(wake, 4096):
                return "it was asked to end (SIGTERM)"
            if self._source in ready:
                data = os.read(self._source, _CHUNK)
                if not data:
                    poll.unregister(self._source)
                    continue
                heard = now()
                self._take(data)
                if len(self._unread) > LINE_BYTES_MAX:
                    return f"it was sent a line of more than {LINE_BYTES_MAX:,} bytes"
            elif not ready and now() >= heard + silence_s:
                return f"it heard nothing of the harness for {silence_s:g} s"
        return "the harness said goodbye"

    def _take(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line:
                _say(self._sink, self._answer(line))

    def _answer(self, line: bytes) -> Dict[str, Any]:
        n = None
        try:
            n, operation, args = _request(line)
            if operation == GOODBYE:
                self.goodbye = n
                return {}
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


def _take_channel() -> Tuple[int, int]:
    """Keep input and output for ourselves: programs that are started find neither."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, sink


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


def _say(sink: int, value: Dict[str, Any]) -> None:
    """Whether anybody hears it or not."""
    if not value:
        return
    line = json.dumps(value).encode() + b"\n"
    with suppress(OSError, TooLong), limited(SAY_LIMIT_S):
        while line:
            line = line[os.write(sink, line) :]


def _end(sink: int, lock: place.Lock, why: str, healing: Healing) -> None:
    ended = {"ended": why, **healing.tell()}
    lock.write(ended)
    print(json.dumps(ended), file=sys.stderr)
    _say(sink, ended)


def _nothing(number: int, frame: object) -> None:
    pass
