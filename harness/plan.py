"""The plan: everything that determines a run, as one value that is written down before the run starts.

On the cluster `sim` the same plan gives the same history, byte for byte. On the others the seed fixes what
is asked and which faults are injected when, not how the nodes interleave.

Left out on purpose: whether a workload, fault or cluster of that name exists (`harness/catalog.py` knows),
and where the run is written to, which does not determine it.
"""

from __future__ import annotations

import math
import platform
import re
import shlex
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from harness.report.atomic import write_atomically
from store.core.data.levels import LevelError, parse_level

NODES_MAX: Final = 99
CONCURRENCY_MAX: Final = 1000
RATE_MAX: Final = 1_000_000
SEED_MAX: Final = 2**63 - 1
DAY_S: Final = 86_400

DEFAULT_FAULTS: Final = ("partition", "kill", "pause", "clock")
"""The faults of a run that asks for none in particular."""
LOCAL_FAULTS: Final = ("partition", "kill", "pause")
"""Those on `local`, where all share the machine's clock."""

SERVICE: Final = "service"
"""The cluster that is somebody's own service: nobody here knows its level, nor how many copies it keeps."""

SIMULATED: Final = frozenset({"sim"})
"""The clusters that run in virtual time, and where a seed fixes the whole history."""

STORE: Final = "store"
"""The name of the system that is bundled."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SYSTEM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
_FAULT = re.compile(r"([a-z][a-z0-9-]*)(:[A-Za-z0-9][A-Za-z0-9.+@=%*?/_-]*)?")


class PlanError(Exception):
    """A plan that cannot be run or read: one sentence that names the flag or file and what is allowed."""


def node_names(count: int) -> tuple[str, ...]:
    """The names of `count` nodes: n1, n2, ..."""
    return tuple(f"n{number}" for number in range(1, count + 1))


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate` is operations per second over all clients. `faults` are specs, `name` or `name:choice`.
    `nodes_file` (cluster `ssh`) and `lab` (`netns`; empty: one made for the run) say where the hosts are,
    which undo everything by themselves when they have not heard of the harness for `heal_after_s`; `system`
    is what runs on them, the bundled store or `MODULE:CLASS` of somebody's own. `demo` (`NAME/PART`, empty
    for most) is whose part the run is: then that says what is asked and what goes wrong, and repeats it.
    `argv` and `versions` say how and with what the run was made; nothing depends on them."""

    workload: str = "register"
    level: str = "linearizable"
    cluster: str = "sim"
    nodes_file: str = ""
    lab: str = ""
    heal_after_s: float = 10.0
    system: str = STORE
    nodes: tuple[str, ...] = node_names(5)
    replication: int = 3
    faults: tuple[str, ...] = DEFAULT_FAULTS
    time_limit_s: float = 60.0
    concurrency: int = 10
    rate: float = 200.0
    op_timeout_s: float = 1.0
    fault_interval_s: float = 10.0
    analysis_limit_s: float = 60.0
    stop_on_violation: bool = False
    seed: int = 0
    demo: str = ""
    argv: tuple[str, ...] = ()
    versions: dict[str, str] = {}

    def validate(self) -> None:
        """Raises `PlanError` for the first option that is out of its range."""
        for field, flag in (("workload", "--workload"), ("cluster", "--cluster")):
            name = getattr(self, field)
            _demand(
                bool(_NAME.fullmatch(name)), flag, repr(name), "a name of small letters, digits and hyphens"
            )
        _check_nodes(self.nodes)
        _check_count("--replication", self.replication, len(self.nodes), " (the number of nodes)")
        _check_level(self.level, self.replication)
        _check_faults(self.faults)
        _check_count("--concurrency", self.concurrency, CONCURRENCY_MAX)
        _check_figure("--time-limit", self.time_limit_s, DAY_S, "seconds")
        _check_figure("--rate", self.rate, RATE_MAX, "operations per second")
        _check_figure("--op-timeout", self.op_timeout_s, 3600, "seconds", least=0.001)
        _check_figure("--fault-interval", self.fault_interval_s, DAY_S, "seconds")
        _check_figure("--analysis-limit", self.analysis_limit_s, DAY_S, "seconds")
        _check_figure("--heal-after", self.heal_after_s, 3600, "seconds", least=2)
        check_ground(self.cluster, self.nodes_file, self.lab)
        _check_system(self.system, self.cluster, self.faults)
        _demand(0 <= self.seed <= SEED_MAX, "--seed", str(self.seed), "a whole number from 0 to 2^63-1")


def check_ground(cluster: str, nodes_file: str, lab: str) -> None:
    """Is it said where the hosts are, and only where there are any? Raises `PlanError`."""
    if cluster == "ssh" and not nodes_file:
        raise PlanError("--cluster ssh needs --nodes-file FILE, which names its hosts")
    if nodes_file and cluster != "ssh":
        raise PlanError(f"--nodes-file {nodes_file} is only for --cluster ssh, and this is {cluster}")
    if lab and cluster != "netns":
        raise PlanError(f"--lab {lab} is only for --cluster netns, and this is {cluster}")


def default_faults(cluster: str, node_count: int) -> tuple[str, ...]:
    """What a run on `cluster` injects if nobody says otherwise; a node alone cannot be cut off."""
    faults = LOCAL_FAULTS if cluster == "local" else DEFAULT_FAULTS
    return tuple([fault for fault in faults if fault != "partition" or node_count > 1])


def default_replication(node_count: int) -> int:
    """Three copies, or one on each node if they are fewer."""
    return min(Plan().replication, node_count)


def parse_nodes(text: str) -> tuple[str, ...]:
    """`--nodes`: a number of nodes, or their names with commas between."""
    if re.fullmatch(r"-?\d+", text):
        count = int(text)
        _demand(1 <= count <= NODES_MAX, "--nodes", text, f"1 to {NODES_MAX} nodes")
        return node_names(count)
    return tuple(text.split(","))


def parse_faults(text: str) -> tuple[str, ...]:
    """`--faults`: specs with commas between; `none` for none at all."""
    return () if text == "none" else tuple(text.split(","))


def versions() -> dict[str, str]:
    """What this run is made with."""
    names = ("stormcellar", "trio", "msgspec", "rocksdict")
    return {name: _version(name) for name in names} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def to_json(plan: Plan) -> bytes:
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def from_json(data: bytes, source: str) -> Plan:
    """Raises `PlanError`, which names `source`; the plan is not validated."""
    try:
        return msgspec.json.decode(data, type=Plan)
    except (ValueError, RecursionError) as error:  # msgspec's own errors, and what it lets through
        raise PlanError(f"{source} is not a plan: {error}") from None


def save(plan: Plan, path: Path) -> None:
    """Raises `ArtifactsError`; an older plan at `path` is replaced whole or not at all."""
    write_atomically(path, to_json(plan))


def load(path: Path) -> Plan:
    """Raises `PlanError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(f"the plan {path} cannot be read: {error.strerror or error}") from None
    return from_json(data, str(path))


def replay_command(plan: Plan) -> str:
    """The shell command that runs this plan again: the options that are not the defaults, and the seed. Of
    somebody's own service it is the command of the test (`harness/plugin/`), of a demo's part the demo."""
    if plan.cluster == SERVICE:
        return shlex.join(plan.argv)
    words, options = ["harness", "run"], _OPTIONS
    if plan.demo:
        words, options = ["harness", "demo", plan.demo.partition("/")[0]], _GROUND
    count = len(plan.nodes)
    defaults = Plan(faults=default_faults(plan.cluster, count), replication=default_replication(count))
    for field, flag, write in options:
        value = getattr(plan, field)
        if value != getattr(defaults, field):
            words += [flag, write(value)]
    if plan.stop_on_violation:
        words.append("--stop-on-violation")
    return shlex.join([*words, "--seed", str(plan.seed)])


def _figure(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _nodes_text(nodes: tuple[str, ...]) -> str:
    return str(len(nodes)) if nodes == node_names(len(nodes)) else ",".join(nodes)


_GROUND: Final[tuple[tuple[str, str, Callable[..., str]], ...]] = (
    ("cluster", "--cluster", str),
    ("nodes_file", "--nodes-file", str),
    ("lab", "--lab", str),
)
_OPTIONS: Final[tuple[tuple[str, str, Callable[..., str]], ...]] = (
    ("workload", "--workload", str),
    ("level", "--level", str),
    *_GROUND,
    ("heal_after_s", "--heal-after", _figure),
    ("system", "--system", str),
    ("nodes", "--nodes", _nodes_text),
    ("replication", "--replication", str),
    ("faults", "--faults", lambda faults: ",".join(faults) or "none"),
    ("time_limit_s", "--time-limit", _figure),
    ("concurrency", "--concurrency", str),
    ("rate", "--rate", _figure),
    ("op_timeout_s", "--op-timeout", _figure),
    ("fault_interval_s", "--fault-interval", _figure),
    ("analysis_limit_s", "--analysis-limit", _figure),
)


def _demand(holds: bool, flag: str, given: str, allowed: str) -> None:
    if not holds:
        raise PlanError(f"{flag} is {given}; allowed: {allowed}")


def _check_count(flag: str, value: int, most: int, why: str = "") -> None:
    _demand(1 <= value <= most, flag, str(value), f"a whole number from 1 to {most}{why}")


def _check_figure(flag: str, value: float, most: float, unit: str, least: float = 0.0) -> None:
    low = f"from {least:g}" if least else "more than 0"
    fits = math.isfinite(value) and value > 0 and least <= value <= most
    _demand(fits, flag, _figure(value) if math.isfinite(value) else str(value), f"{low} to {most} {unit}")


def _check_system(system: str, cluster: str, faults: tuple[str, ...]) -> None:
    if system == STORE:
        return
    _demand(bool(_SYSTEM.fullmatch(system)), "--system", repr(system), f"{STORE}, or MODULE:CLASS")
    if cluster not in ("netns", "ssh"):
        raise PlanError(f"--system {system} is only for --cluster netns and ssh, and this is {cluster}")
    if "membership" in [fault.partition(":")[0] for fault in faults]:
        raise PlanError(f"--faults: nobody here knows how {system} changes its members, so no membership")


def _check_nodes(nodes: tuple[str, ...]) -> None:
    _demand(1 <= len(nodes) <= NODES_MAX, "--nodes", f"{len(nodes)} nodes", f"1 to {NODES_MAX} nodes")
    for name in nodes:
        allowed = "names of letters, digits, dots and hyphens, at most 63 long"
        _demand(bool(_NODE.fullmatch(name)), "--nodes", repr(name), allowed)
    twice = next((name for place, name in enumerate(nodes) if name in nodes[:place]), None)
    _demand(twice is None, "--nodes", f"{twice!r} twice", "each name once")


def _check_level(level: str, replication: int) -> None:
    try:
        parse_level(level, replication)
    except LevelError as error:
        raise PlanError(f"--level: {error}") from None


def _check_faults(faults: tuple[str, ...]) -> None:
    for spec in faults:
        allowed = "NAME or NAME:CHOICE with commas between, or none"
        _demand(bool(_FAULT.fullmatch(spec)), "--faults", repr(spec), allowed)
    names = [spec.partition(":")[0] for spec in faults]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    _demand(twice is None, "--faults", f"{twice!r} twice", "each fault once")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
