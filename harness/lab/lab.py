"""Bring a lab up, find it, take it down. Blocking; a few hundred milliseconds each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from harness.hand.patience import until
from harness.hand.proc import Identity, identify
from harness.lab import process, script, state
from harness.lab.client import ClientNamespace
from harness.lab.keys import new_key_pair
from harness.lab.layout import CLIENT, RUNTIME, LabError, LabHost, Layout, directory_of, layout_of
from harness.lab.state import State
from harness.remote.host import Host

READY_LIMIT_S: Final = 20.0
"""For all hosts to answer; on an idle machine it takes half a second."""
BUSY_LIMIT_S: Final = 30.0
"""How long another process may take to bring the lab up or down before we give up."""
_POLL_S: Final = 0.01
_TOOLS: Final = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "sshd": "openssh-server",
}
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Condition = Literal["up", "coming up", "interrupted", "dead", "not understood"]


class Lab(Struct, frozen=True):
    """A lab that is up. `client` is where to connect from; `hosts` know it."""

    name: str
    layout: Layout
    client: ClientNamespace

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(self._host(host) for host in self.layout.hosts)

    def _host(self, host: LabHost) -> Host:
        return Host(
            name=host.name,
            address=host.address,
            keys=(self.layout.identity,),
            agent=False,
            known_hosts=(self.layout.known_hosts,),
            dial=self.client.dial,
        )


class Pipe(NamedTuple):
    """File descriptors, as `os.pipe` gives them."""

    reading: int
    writing: int


class Found(Struct, frozen=True):
    """`interrupted`: whoever brought it up was killed. `dead`: its keeper was. `harness lab down` removes
    either. `not understood`: what is written down of it is not ours, or of another version; `down` raises
    why. `hosts` is None where that is not known."""

    name: str
    condition: Condition
    hosts: int | None


def up(name: str, count: int, runtime: Path = RUNTIME, tether: Pipe | None = None) -> Lab:
    """Bring up a lab of `count` hosts; it stays until it is taken down, also when the caller ends; but with a
    `tether` it goes when nobody has the pipe's writing end any more. What is left of an earlier one of that
    name is removed first. Raises `LabError`, and then leaves nothing."""
    sshd = _demand()
    layout = layout_of(name, count, runtime)
    with state.locked(name, runtime, wait_s=BUSY_LIMIT_S) as directory:
        there = state.read(directory)
        if there is not None and there.ready and process.is_alive(there.keeper):
            raise LabError(f"lab {name} is up already: harness lab down --name {name} takes it down")
        try:
            _end(there, name)
            state.clear(directory)
            _write_files(layout)
            keeper = _start(layout, sshd, tether)
            lab = _lab(State(layout, keeper, ready=False))
            _wait_until_ready(lab, keeper)
            state.write(State(layout, keeper, ready=True))
            return lab
        except BaseException:
            _end(state.read(directory), name)
            state.remove(directory)
            raise


def down(name: str, runtime: Path = RUNTIME) -> bool:
    """Take a lab down, or what is left of one; False if there is none. Raises `LabError`."""
    _demand_root()
    if not directory_of(name, runtime).exists():
        return False
    with state.locked(name, runtime, wait_s=BUSY_LIMIT_S) as directory:
        _end(state.read(directory), name)
        state.remove(directory)
    return True


def sweep(prefix: str, runtime: Path = RUNTIME) -> None:
    """Remove what is left of labs whose names begin so, if they are neither up nor being changed."""
    _demand_root()
    for name in [name for name in state.names(runtime) if name.startswith(prefix)]:
        with suppress(LabError), state.locked(name, runtime, wait_s=0) as directory:
            there = state.read(directory)
            if there is None or not (there.ready and process.is_alive(there.keeper)):
                _end(there, name)
                state.remove(directory)


def find(name: str, runtime: Path = RUNTIME) -> Lab:
    """A lab that is up; raises `LabError`."""
    _demand_root()
    there = state.read(directory_of(name, runtime))
    if there is None or not (there.ready and process.is_alive(there.keeper)):
        raise LabError(f"there is no lab {name} that is up: harness lab up --name {name} makes one")
    return _lab(there)


def every(runtime: Path = RUNTIME) -> list[Found]:
    _demand_root()
    return [_found(name, runtime) for name in state.names(runtime)]


def _found(name: str, runtime: Path) -> Found:
    directory = runtime / "labs" / name
    busy = state.is_locked(directory)
    condition: Condition
    try:
        there = state.read(directory)
    except LabError:
        return Found(name, "not understood", None)
    if there is None or not there.ready:
        condition = "coming up" if busy else "interrupted"
    else:
        condition = "up" if process.is_alive(there.keeper) else "dead"
    return Found(name, condition, None if there is None else len(there.layout.hosts))


def _lab(there: State) -> Lab:
    inside = Path(f"/proc/{there.keeper.pid}/root/run/netns/{CLIENT}")
    return Lab(there.layout.name, there.layout, ClientNamespace(inside))


def _demand() -> str:
    """Raises `LabError` for what is missing; the path of sshd."""
    _demand_root()
    for tool, package in _TOOLS.items():
        if shutil.which(tool, path=_PATH) is None:
            raise LabError(f"a lab needs the program {tool}: apt-get install {package}")
    return str(shutil.which("sshd", path=_PATH))


def _demand_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise LabError("a lab is made of Linux namespaces: run this on Linux, as root")


def _write_files(layout: Layout) -> None:
    user = new_key_pair()
    passwd = script.etc_passwd(Path("/etc/passwd").read_text("utf-8", "surrogateescape"))
    _write(layout.identity, user.private, 0o600)
    _write(layout.ssh_config, script.ssh_config(layout), 0o600)
    known = ""
    for host in layout.hosts:
        key = new_key_pair()
        known += f"{host.address} {key.public}\n"
        own = layout.host_directory(host)
        for folder in ("etc", "srv", "run/lab", "run/sshd", "run/lock"):
            (own / folder).mkdir(mode=0o755, parents=True)
        _write(own / "etc/hosts", script.etc_hosts(layout), 0o644)
        _write(own / "etc/hostname", f"{host.name}\n", 0o644)
        _write(own / "etc/passwd", passwd, 0o644)
        _write(own / "etc/shadow", script.SHADOW, 0o600)
        _write(own / "run/lab/host_key", key.private, 0o600)
        _write(own / "run/lab/authorized_keys", f"{user.public}\n", 0o644)
        _write(own / "run/lab/sshd_config", script.sshd_config(host), 0o644)
    _write(layout.known_hosts, known, 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    path.touch(mode=mode)
    path.write_text(text, "utf-8", "surrogateescape")
    path.chmod(mode)


def _start(layout: Layout, sshd: str, tether: Pipe | None) -> Identity:
    """The keeper, written down before it does anything."""
    pipe = Pipe(*os.pipe()) if tether is None else tether
    try:
        with layout.log.open("wb") as log:
            started = subprocess.run(
                script.keeper(layout, sshd, tether is not None),
                stdin=pipe.reading,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={"PATH": _PATH, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        try:
            keeper = identify(int(started.stdout))
        except (ValueError, ProcessLookupError):
            raise LabError(_why_ended(layout)) from None
        state.write(State(layout, keeper, ready=False))
        os.write(pipe.writing, b"go\n")
    finally:
        if tether is None:
            os.close(pipe.reading)
            os.close(pipe.writing)
    return keeper


def _wait_until_ready(lab: Lab, keeper: Identity) -> None:
    silent = list(lab.hosts)

    def ready() -> bool:
        while silent and _greets(silent[0]):
            del silent[0]
        if silent and not process.is_alive(keeper):
            raise LabError(_why_ended(lab.layout))
        return not silent

    if not until(ready, READY_LIMIT_S, _POLL_S):
        host = silent[0].name
        said = _end_of(lab.layout.directory / "hosts" / host / "log") or "it said nothing"
        raise LabError(f"host {host} of lab {lab.name} does not answer: {said}")


def _greets(host: Host) -> bool:
    with suppress(OSError), host.dial(host.address, host.port, 1.0) as sock:
        return sock.recv(4) == b"SSH-"
    return False


def _why_ended(layout: Layout) -> str:
    logs = (layout.log, *(layout.host_directory(host) / "log" for host in layout.hosts))
    said = next((said for log in logs if (said := _end_of(log))), "nothing was said")
    return f"lab {layout.name} could not be set up: {said}"


def _end_of(log: Path) -> str:
    """The last lines that say anything."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return "; ".join([line.strip() for line in lines if line.strip()][-3:])


def _end(there: State | None, name: str) -> None:
    if there is not None and not process.end(there.keeper):
        raise LabError(f"processes of lab {name} do not end, though killed: process {there.keeper.pid}")
