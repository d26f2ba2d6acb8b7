"""One node as a process: opens what its configuration names, says when it serves, ends when it is told to.

Logs are lines on stderr (time in UTC, level, node, message); stdout has one JSON line, once the node serves.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import time
from typing import Final

import trio

from store.channel import plain_reason
from store.config import Address, NodeConfig
from store.orphan import die_with_parent
from store.runtime import Runtime
from store.server import CONNECTIONS_MAX, REFUSALS_MAX
from store.storage import FILES_MAX, NotOurs, RocksStorage, StorageError

if sys.platform != "win32":
    import resource

EXIT_NOT_STARTED: Final = 1
EXIT_DISK: Final = 74
"""sysexits.h: EX_IOERR."""
BACKLOG: Final = 1024
FILES_NEEDED: Final = CONNECTIONS_MAX + REFUSALS_MAX + FILES_MAX + 200
"""With fewer, a flood of connections would take from the disk the files that it must open, and so end the
node. The rest is for links, logs and the interpreter."""
SWITCH_INTERVAL_S: Final = 0.0005
"""How long the disk's thread may have to wait for Python's lock: with the usual 5 ms, latencies showed it."""

_log = logging.getLogger(__name__)


def serve(config: NodeConfig, orphans_end: bool) -> int:
    """Run the node until SIGTERM or ctrl-C; the process's exit status. What goes wrong is logged."""
    if orphans_end:
        die_with_parent()
    _log_to_stderr(config.name)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if not _may_open(FILES_NEEDED):
        _log.error("a node needs %d open files, and the limit (ulimit -Hn) is lower", FILES_NEEDED)
        return EXIT_NOT_STARTED
    try:
        listener = _listen(config.listen)
    except OSError as error:
        _log.error("cannot listen on %s: %s", config.listen, plain_reason(error))
        return EXIT_NOT_STARTED
    with listener:
        try:
            storage = RocksStorage(config.data, config.cluster, config.name)
        except StorageError as error:
            _log.error("%s", error)
            return EXIT_NOT_STARTED if isinstance(error, NotOurs) else EXIT_DISK
        try:
            return trio.run(_run, config, storage, listener)
        except KeyboardInterrupt:  # before the signals were ours
            return 0
        finally:
            storage.close()


async def _run(config: NodeConfig, storage: RocksStorage, listener: socket.socket) -> int:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        try:
            runtime = Runtime(config, storage, listener)
        except StorageError as error:
            _log.error("%s", error)
            return EXIT_DISK
        async with trio.open_nursery() as nursery:

            async def end_at_signal() -> None:
                async for number in signals:
                    _log.info("ends: %s", signal.Signals(number).name)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(end_at_signal)
            _say_ready(config.name, listener)
            await runtime.run()
            nursery.cancel_scope.cancel()
        if runtime.disk_error is not None:
            _log.critical("%s; the node ends without acknowledging anything more", runtime.disk_error)
            return EXIT_DISK
        return 0


def _say_ready(name: str, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    _log.info("serves at %s", Address(host, port))
    line = json.dumps({"event": "ready", "node": name, "host": host, "port": port}) + "\n"
    try:
        if sys.stdout is not None:
            os.write(sys.stdout.fileno(), line.encode())  # unbuffered: nothing is left to fail at the exit
    except OSError as error:
        _log.warning("cannot say on stdout that it is ready: %s", plain_reason(error))


def _may_open(files: int) -> bool:
    """Whether so many files may be open, after asking for it."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < files:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
            except ValueError:
                return False
    return True


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.create_server(address, family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def _log_to_stderr(name: str) -> None:
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {name} %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
