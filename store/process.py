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
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import trio

from store import interrupt
from store.config import Address, NodeConfig
from store.core.messages import NODES_MAX
from store.logs import event, log_to_stderr
from store.net.channel import plain_reason
from store.net.security import PLAIN, Security, SecurityError, secret, tls
from store.net.server import CONNECTIONS_MAX, REFUSALS_MAX
from store.orphan import die_with_parent
from store.persistence.damage import condemn, condemned, quarantine
from store.persistence.storage import FILES_MAX, RECORDS, Damaged, NotOurs, RocksStorage, StorageError
from store.runtime import Runtime
from store.web.http import CONNECTIONS_MAX as HTTP_CONNECTIONS_MAX

if sys.platform != "win32":
    import resource

EXIT_NOT_STARTED: Final = 1
EXIT_DISK: Final = 74
"""sysexits.h: EX_IOERR."""
BACKLOG: Final = 1024
FILES_NEEDED: Final = CONNECTIONS_MAX + REFUSALS_MAX + HTTP_CONNECTIONS_MAX + FILES_MAX + NODES_MAX + 200
"""With fewer, a flood of connections would take from the disk the files that it must open, and so end the
node. `NODES_MAX` is for links; the rest for logs and the interpreter."""
SWITCH_INTERVAL_S: Final = 0.0005
"""How long the disk's thread may have to wait for Python's lock: with the usual 5 ms, latencies showed it."""
DAYS_TO_RENEW: Final = 30
"""Whoever starts a node with a certificate that ends sooner is told so."""

_log = logging.getLogger(__name__)


def serve(config: NodeConfig, orphans_end: bool) -> int:
    """Run the node until SIGTERM or ctrl-C; the process's exit status. What goes wrong is logged."""
    if orphans_end:
        die_with_parent()
    log_to_stderr(config.name, config.log)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if not _may_open(FILES_NEEDED):
        _log.error("a node needs %d open files, and the limit (ulimit -Hn) is lower", FILES_NEEDED)
        return EXIT_NOT_STARTED
    with ExitStack() as opened:
        try:
            security = _security(config)
            listener = opened.enter_context(_listen(config.listen))
            http = None if config.http is None else opened.enter_context(_listen(config.http))
        except (SecurityError, _CannotListen) as error:
            _log.error("%s", error)
            return EXIT_NOT_STARTED
        try:
            storage = _open(config)
        except StorageError as error:
            _log.error("%s", error)
            return EXIT_NOT_STARTED if isinstance(error, NotOurs) else EXIT_DISK
        opened.callback(storage.close)
        try:
            return interrupt.run(_run, config, partial(Runtime, config, storage, listener, security, http))
        except KeyboardInterrupt:  # before the signals were ours
            return 0


class _CannotListen(Exception):
    """One sentence."""


def _security(config: NodeConfig) -> Security:
    """Raises `SecurityError`."""
    if config.tls is not None:
        from store.net import certs  # takes a while, and few nodes have one

        security = tls(*config.tls)
        days = certs.check(config.tls.cert, config.name)
        if days < DAYS_TO_RENEW:
            event(_log, logging.WARNING, "certificate-ends", file=str(config.tls.cert), days=days)
        return security
    return PLAIN if config.secret_file is None else secret(config.secret_file, config.name)


def _open(config: NodeConfig) -> RocksStorage:
    """The node's storage; a new one if the old one is damaged and others have copies."""
    reason = condemned(config.data)
    if reason is None:
        try:
            return _storage(config)
        except Damaged as damage:
            reason = str(damage)
    if not (config.peers or config.seeds):
        raise Damaged(
            f"{reason}; no other node has a copy, so nothing is rebuilt: put a backup in its place, "
            f"or move {config.data / RECORDS} away to begin empty"
        )
    aside = quarantine(config.data, datetime.now(UTC).date())
    _log.critical("%s; set aside as %s: this node begins anew and rebuilds from its peers", reason, aside)
    return _storage(config)


def _storage(config: NodeConfig) -> RocksStorage:
    return RocksStorage(config.data, config.cluster, config.name, config.reserve_mb << 20)


async def _run(config: NodeConfig, make: Callable[[], Runtime]) -> int:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        try:
            runtime = make()
        except StorageError as error:
            return _end_by_disk(config, error)
        async with trio.open_nursery() as nursery:

            async def end_at_signal() -> None:
                async for number in signals:
                    _log.info("ends: %s", signal.Signals(number).name)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(end_at_signal)
            _say_ready(config.name, runtime)
            await runtime.run()
            nursery.cancel_scope.cancel()
        if runtime.disk_error is not None:
            return _end_by_disk(config, runtime.disk_error)
        return 0


def _end_by_disk(config: NodeConfig, error: StorageError) -> int:
    _log.critical("%s; the node ends without acknowledging anything more", error)
    if isinstance(error, Damaged):
        condemn(config.data, str(error))
        if config.peers or config.seeds:
            _log.critical("started again, it sets its records aside and rebuilds from its peers")
    return EXIT_DISK


def _say_ready(name: str, runtime: Runtime) -> None:
    host, port = runtime.listens
    ready: dict[str, Any] = {"event": "ready", "node": name, "host": host, "port": port}
    if runtime.listens_http is not None:
        ready |= {"http_host": runtime.listens_http.host, "http_port": runtime.listens_http.port}
    event(_log, logging.INFO, "serves", at=str(runtime.listens), http=str(runtime.listens_http or "not"))
    line = json.dumps(ready) + "\n"
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
    """Raises `_CannotListen`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise _CannotListen(f"cannot listen on {address}: {plain_reason(error)}") from None
    listener.setblocking(False)
    return listener
