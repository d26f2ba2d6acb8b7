"""All hosts at once: asked, and judged one by one and together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final, Literal, NamedTuple

import trio

from harness.cluster.hosts.parcel import Machine, ourselves, parcel
from harness.doctor.checks import HOST_CHECKS, Check, Facts, Finding
from harness.doctor.probe import Answers, ask
from harness.remote.connection import Connection
from harness.remote.errors import CommandNotRun, HostKeyError, NoRoot, Refused, RemoteError, Unreachable
from harness.remote.host import Host

State = Literal["ok", "missing", "not needed"]
NOWHERE: Final = Machine("", "")


class Row(NamedTuple):
    """`not needed`: it is missing, and no run of the kind that was asked about needs it."""

    where: str
    check: str
    state: State
    detail: str
    remedy: str = ""


def row(where: str, check: str, finding: Finding, needed: bool) -> Row:
    state: State = "ok" if finding.ok else "missing" if needed else "not needed"
    return Row(where, check, state, finding.detail, "" if finding.ok else finding.remedy)


async def examine(connections: Mapping[str, Connection], faults: Iterable[str], deep: bool) -> list[Row]:
    """Each host, by its node's name, for a run with these faults. `deep`: also what that run would find out
    for itself, and what it does not need."""
    wanted = frozenset(faults)
    checks = [check for check in HOST_CHECKS if deep or (not check.deep and _may_need(check, wanted))]
    names = ["kernel", *dict.fromkeys([name for check in checks for name in check.probes])]
    answers: dict[str, Answers] = {}
    rows: list[Row] = []

    async def one(node: str, connection: Connection) -> None:
        try:
            answers[node] = await ask(connection, dict.fromkeys(names))
        except RemoteError as error:
            check = "root" if isinstance(error, NoRoot) else "login"
            rows.append(row(node, check, cannot_enter(error, connection.host), True))

    async with trio.open_nursery() as nursery:
        for node, connection in connections.items():
            nursery.start_soon(one, node, connection)
    machines = {node: _machine(answers[node]) for node in connections if node in answers}
    for node, machine in machines.items():
        host = connections[node].host
        rows.append(row(node, "login", Finding(True, f"{host.user}@{host.address}:{host.port}"), True))
        rows.append(row(node, "machine", alone(node, machines, ourselves()), True))
        shared = shares_kernel(machine, machines.values(), ourselves())
        digest = parcel().sha256 if deep else ""
        facts = Facts(answers[node].probes, answers[node].offset, EXTENSION_SUFFIXES[0], digest)
        for check in checks:
            needed = check.needed(wanted, shared)
            if deep or needed:
                rows.append(row(node, check.name, check.read(facts), needed))
    order = list(connections)
    return sorted(rows, key=lambda found: order.index(found.where))


def cannot_enter(error: RemoteError, host: Host) -> Finding:
    """Why a host could not be asked, and what to do about it."""
    said = str(error).removeprefix(f"{error.host}: ").rpartition(" was not run: ")[2]
    match error:
        case Unreachable():
            remedy = "start it and its sshd, or correct its place in the hosts file"
        case HostKeyError():
            remedy = f"ssh-keyscan -p {host.port} {host.address} shows its keys"
        case Refused():
            remedy = f"ssh-copy-id -p {host.port} {host.user}@{host.address}"
        case NoRoot():
            grant = f"echo '{host.user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/stormcellar"
            remedy = f"as root there: apt-get install sudo && {grant}"
        case CommandNotRun():
            remedy = f"as root there: chsh -s /bin/sh {host.user}"
        case _:
            remedy = f"ssh -p {host.port} {host.user}@{host.address} shows what is wrong"
    return Finding(False, said, remedy)


def alone(node: str, machines: Mapping[str, Machine], ours: Machine | None) -> Finding:
    """Whether what strikes the host strikes no other, nor us."""
    machine = machines[node]
    if machine == NOWHERE:
        return Finding(False, "it does not tell which kernel it runs on", "use a Linux host with /proc")
    if machine == ours:
        remedy = "use harness run --cluster netns, or another host"
        return Finding(False, "it is the machine that the harness runs on, and would be broken, too", remedy)
    twin = next((other for other, there in machines.items() if there == machine and other != node), None)
    if twin is not None:
        return Finding(False, f"it is the same machine as {twin}", "name it once in the hosts file")
    sharing = [other for other, there in machines.items() if there.boot == machine.boot and other != node]
    if ours is not None and ours.boot == machine.boot:
        return Finding(True, "a namespace of this machine, whose clock is left alone")
    if sharing:
        return Finding(True, f"shares its kernel with {', '.join(sharing)}, so its clock is left alone")
    return Finding(True, "a kernel of its own")


def shares_kernel(machine: Machine, machines: Iterable[Machine], ours: Machine | None) -> bool:
    count = Counter(there.boot for there in machines)
    return count[machine.boot] > 1 or (ours is not None and ours.boot == machine.boot)


def problems(rows: Sequence[Row]) -> list[str]:
    """A sentence for each thing that is missing: where, what, and what to do."""
    return [
        f"{found.where}: {found.detail}" + (f": {found.remedy}" if found.remedy else "")
        for found in rows
        if found.state == "missing"
    ]


def _may_need(check: Check, faults: frozenset[str]) -> bool:
    return check.needed(faults, True) or check.needed(faults, False)


def _machine(answers: Answers) -> Machine:
    probe = answers.probes["kernel"]
    boot, _, network = probe.output.partition("\n")
    return Machine(boot, network) if probe.ok else NOWHERE
