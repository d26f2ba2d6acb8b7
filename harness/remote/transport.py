"""One SSH connection, made and proved: the host is the right one, and it lets us in. Blocking.

paramiko's own `SSHClient` is not used: it tries keys in an order and under conditions of its own, and tells
a host that has a new key from one that was never seen only by the text of its exceptions.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import paramiko
from paramiko.agent import AgentSSH
from paramiko.hostkeys import InvalidHostKey
from paramiko.ssh_exception import AuthenticationException, SSHException

from harness.remote.errors import ConnectionLost, HostKeyError, Refused, Unreachable, reason
from harness.remote.host import Host

CONNECT_LIMIT_S: Final = 10.0
"""For the socket and the key exchange."""
AUTH_LIMIT_S: Final = 10.0
CHANNEL_LIMIT_S: Final = 10.0
KEEPALIVE_S: Final = 5
RESCUE_LIMIT_S: Final = 3.0
"""For mending over a second channel what went wrong on a first."""
SILENCE_LIMIT_S: Final = 20.0
"""A connection whose packets are not acknowledged for so long, or less, is lost (keepalives provoke it)."""
_REFUSED_PAUSE_S: Final = 0.02
_LOG: Final = "harness.remote.paramiko"

logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False


def connect(host: Host, silence_s: float, limit_s: float = CONNECT_LIMIT_S) -> paramiko.Transport:
    """`silence_s` takes the place of `SILENCE_LIMIT_S` if it is shorter. Raises `Unreachable`, `HostKeyError`
    or `Refused`."""
    deadline = time.monotonic() + limit_s
    known = _known_keys(host)
    try:
        sock = host.dial(host.address, host.port, limit_s)
    except OSError as error:
        raise Unreachable(host.name, f"{_place(host)} does not answer: {reason(error)}") from None
    with suppress(OSError, AttributeError):  # not TCP, or not Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(min(SILENCE_LIMIT_S, silence_s) * 1000)
        )
    transport = None
    try:
        transport = paramiko.Transport(sock)
        _greet(transport, host, known, max(0.1, deadline - time.monotonic()))
        _log_in(transport, host)
        transport.set_keepalive(KEEPALIVE_S)
        return transport
    except BaseException:
        if transport is not None:
            transport.close()
        sock.close()
        raise


def open_channel(transport: paramiko.Transport, host: Host, limit_s: float) -> paramiko.Channel:
    """Raises `ConnectionLost`; nothing was asked of the host then. A server that has as many as it allows
    (it counts one that was closed until its process is gone) is asked again."""
    deadline = time.monotonic() + max(0.1, min(limit_s, CHANNEL_LIMIT_S))
    with lost_if_broken(host):
        while True:
            try:
                return transport.open_session(timeout=max(0.1, deadline - time.monotonic()))
            except SSHException:  # which kind is left to chance when several are refused at once
                if time.monotonic() > deadline or not transport.is_active():
                    raise
            time.sleep(_REFUSED_PAUSE_S)


def end_input(channel: paramiko.Channel) -> None:
    """As its `shutdown_write`, which may send that behind paramiko's own answer to the end of the channel;
    and sshd ends a whole connection on which it finds such a thing. Raises what `lost_if_broken` catches."""
    its: Any = channel
    with its.lock:  # nothing is answered meanwhile
        message = its._send_eof()
        if message is not None:
            its.transport._send_user_message(message)


@contextmanager
def lost_if_broken(host: Host) -> Iterator[None]:
    try:
        yield
    except (SSHException, EOFError, OSError) as error:
        raise ConnectionLost(host.name, f"the connection broke: {reason(error)}") from None


def _greet(
    transport: paramiko.Transport, host: Host, known: dict[str, paramiko.PKey], limit_s: float
) -> None:
    transport.set_log_channel(_LOG)
    transport.banner_timeout = transport.handshake_timeout = limit_s
    transport.auth_timeout = AUTH_LIMIT_S
    if known:  # a host has several keys; ask for one that we know
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda kind: _kind_of_key(kind) not in known)
    try:
        transport.start_client(timeout=limit_s)
    except (SSHException, EOFError, OSError) as error:
        raise Unreachable(host.name, f"{_place(host)} does not speak SSH with us: {reason(error)}") from None
    try:
        shown = transport.get_remote_server_key()
    except SSHException:  # `start_client` just returns when its time is up
        raise Unreachable(host.name, f"{_place(host)} does not speak SSH with us: timed out") from None
    if host.host_keys == "strict":
        _verify(host, known, shown)


def _verify(host: Host, known: dict[str, paramiko.PKey], shown: paramiko.PKey) -> None:
    files = " or ".join(str(path) for path in host.known_hosts) or "any file"
    fingerprint = shown.fingerprint
    if not known:
        raise HostKeyError(
            host.name,
            f"its key {fingerprint} is not known: if it is the right one, add {_entry(host)} to {files}",
        )
    if known.get(shown.get_name()) != shown:
        raise HostKeyError(
            host.name,
            f"it shows the key {fingerprint}, and {_entry(host)} in {files} is another one: it was "
            "installed anew, or it is not that host",
        )


def _log_in(transport: paramiko.Transport, host: Host) -> None:
    tried = []
    for path in host.keys:
        key = _read_key(path)
        if isinstance(key, str):  # the agent may have it, or something else lets us in
            tried.append(f"the key {path} ({key})")
            continue
        if key.public_blob is not None:  # paramiko found a certificate beside it, and would try nothing else
            tried.append(f"the certificate of {path}")
            if _accepts(transport, host, key):
                return
            key.public_blob = None
        tried.append(f"the key {path}")
        if _accepts(transport, host, key):
            return
    if host.agent:
        try:
            agent = paramiko.Agent() if host.agent is True else _AgentAt(host.agent)
        except (SSHException, OSError) as error:
            tried.append(f"the agent{'' if host.agent is True else f' at {host.agent}'} ({reason(error)})")
        else:
            with closing(agent):
                for its in agent.get_keys():
                    tried.append(f"the agent's key {its.fingerprint}")
                    if _accepts(transport, host, its):
                        return
    if host.password is not None:
        tried.append("the password")
        if _accepts(transport, host, host.password):
            return
    with_what = ", ".join(tried) or "nothing: no key, no agent, no password"
    unheeded = f"; {host.unheeded}" if host.unheeded else ""
    raise Refused(host.name, f"it does not let {host.user} in with {with_what}{unheeded}")


def _accepts(transport: paramiko.Transport, host: Host, proof: paramiko.PKey | str) -> bool:
    began = time.monotonic()
    try:
        if isinstance(proof, str):
            left = transport.auth_password(host.user, proof)
        else:
            left = transport.auth_publickey(host.user, proof)
    except AuthenticationException:
        if time.monotonic() - began >= AUTH_LIMIT_S:
            raise Unreachable(host.name, f"it let {host.user} wait too long at the login") from None
        if transport.is_active():
            return False
        raise Refused(
            host.name, f"it hung up on {host.user} after too many tries, or too slow a one"
        ) from None
    except (SSHException, EOFError, OSError) as error:
        raise Unreachable(host.name, f"the connection broke while logging in: {reason(error)}") from None
    if left:
        raise Refused(host.name, f"it asks {host.user} for a second proof, which is not supported: {left[0]}")
    return True


def _read_key(path: Path) -> paramiko.PKey | str:
    """The key, or why it cannot be used."""
    try:
        return paramiko.PKey.from_path(path.expanduser())
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except (paramiko.PasswordRequiredException, TypeError):  # so says cryptography
        return f"it has a passphrase: ssh-add {path} gives it to an agent"
    except Exception:  # paramiko and cryptography raise many kinds, some without a message
        return "the file holds no private key that can be used"


class _AgentAt(paramiko.Agent):
    """paramiko's own is always that of SSH_AUTH_SOCK."""

    def __init__(self, path: Path) -> None:
        AgentSSH.__init__(self)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(AUTH_LIMIT_S)
            sock.connect(str(path))
            its: Any = self
            its._connect(sock)
        except BaseException:
            sock.close()
            raise


def _known_keys(host: Host) -> dict[str, paramiko.PKey]:
    """The known keys of a host by their kind. Files that are not there hold none."""
    if host.host_keys == "any":
        return {}
    keys = paramiko.HostKeys()
    for path in host.known_hosts:
        try:
            keys.load(str(path.expanduser()))
        except FileNotFoundError:
            continue
        except InvalidHostKey as error:
            raise HostKeyError(host.name, f"{path} has a line that is no key: {error.line[:60]}") from None
        except (OSError, SSHException, UnicodeDecodeError) as error:
            raise HostKeyError(host.name, f"{path} cannot be read: {reason(error)}") from None
    return dict(keys.lookup(_entry(host)) or {})


def _kind_of_key(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _entry(host: Host) -> str:
    """How `known_hosts` names it."""
    return host.known_as or (host.address if host.port == 22 else f"[{host.address}]:{host.port}")


def _place(host: Host) -> str:
    return f"{host.address} port {host.port}"
