"""The fixtures `chaos_cluster` and `chaos_run`; loaded with `--chaos` only (`harness/pytest_plugin.py`).

A run is kept in `runs/pytest/TEST/` below pytest's root directory. That of a test that passed is removed;
that of one that failed stays, and its report is a section of pytest's own.
"""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
from collections.abc import Generator as Yields
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest

from checkers.history import HistoryError
from checkers.linear import Linearizable
from checkers.models import Model, model_named
from checkers.verdict import Checker
from harness.generator import Generator
from harness.plan import Plan, PlanError, versions
from harness.plugin.asking import Function, Functions
from harness.plugin.cluster import ServiceCluster
from harness.plugin.run import ChaosRun, carry_out
from harness.recorder import RecorderError
from harness.report import artifacts
from harness.report.artifacts import ArtifactsError

RUNS: Final = pytest.StashKey[list[ChaosRun]]()
PASSED: Final = pytest.StashKey[bool]()


class MakeCluster(Protocol):
    def __call__(
        self,
        argv: Sequence[str],
        *,
        nodes: int = 3,
        env: Mapping[str, str] = ...,
        cwd: str | Path | None = None,
        ready_s: float = 20.0,
    ) -> ServiceCluster: ...


class MakeRun(Protocol):
    def __call__(
        self,
        cluster: ServiceCluster,
        operations: Mapping[str, Function],
        *,
        model: str | Model | None = None,
        checkers: Sequence[Checker] = (),
        faults: Sequence[str] = ("kill", "pause"),
        time_limit_s: float = 10.0,
        rate: float = 100.0,
        concurrency: int = 5,
        op_timeout_s: float = 1.0,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> ChaosRun: ...


@pytest.fixture
def chaos_cluster(request: pytest.FixtureRequest) -> MakeCluster:
    """`chaos_cluster(argv, nodes=3, env={}, cwd=None, ready_s=20)`: so many processes of a service, which
    `chaos_run` starts. Placeholders in `argv` and `env`: {name} {host} {port} {address} {data} {peers}, and
    {n1}, {n2}, ... for the address at which this node reaches that one."""

    def make(
        argv: Sequence[str],
        *,
        nodes: int = 3,
        env: Mapping[str, str] = {},
        cwd: str | Path | None = None,
        ready_s: float = 20.0,
    ) -> ServiceCluster:
        try:
            return ServiceCluster(argv, nodes, env, Path(cwd or request.config.rootpath), ready_s)
        except ValueError as error:
            sentence = str(error)
        pytest.fail(f"chaos_cluster: {sentence}", pytrace=False)

    return make


@pytest.fixture
def chaos_run(request: pytest.FixtureRequest) -> Yields[MakeRun]:
    """`chaos_run(cluster, {"read": read, "write": write}, model="register", faults=["kill"],
    time_limit_s=10)`: breaks the cluster while clients ask it, and gives the verdict. See docs/pytest.md."""
    stash = request.node.stash
    runs = stash[RUNS] = []

    def make(
        cluster: ServiceCluster,
        operations: Mapping[str, Function],
        *,
        model: str | Model | None = None,
        checkers: Sequence[Checker] = (),
        faults: Sequence[str] = ("kill", "pause"),
        time_limit_s: float = 10.0,
        rate: float = 100.0,
        concurrency: int = 5,
        op_timeout_s: float = 1.0,
        generator: Generator | None = None,
        seed: int | None = None,
    ) -> ChaosRun:
        asked = request.config.getoption("--chaos-seed") if seed is None else seed
        drawn = secrets.randbelow(1 << 32) if asked is None else asked
        try:
            judged_as = model_named(model) if isinstance(model, str) else model
            if judged_as is None and not checkers:
                raise ValueError("it needs a model or checkers, or nothing would be judged")
            own = [Linearizable(judged_as, failed_cas="mismatch", seconds=60)] if judged_as else []
            plan = Plan(
                workload=_name(request.node.name),
                level="linearizable",
                cluster=cluster.name,
                nodes=cluster.nodes,
                replication=len(cluster.nodes),
                faults=tuple(faults),
                time_limit_s=time_limit_s,
                concurrency=concurrency,
                rate=rate,
                op_timeout_s=op_timeout_s,
                fault_interval_s=time_limit_s / 3,
                seed=drawn,
                argv=("pytest", "--chaos", "--chaos-seed", str(drawn), request.node.nodeid),
                versions=versions(),
            )
            work = Functions(operations, judged_as, generator)
            root = request.config.rootpath / artifacts.ROOT / "pytest"
            run = carry_out(cluster, work, [*own, *checkers], plan, root)
        except (ValueError, PlanError, HistoryError, ArtifactsError, RecorderError) as error:
            sentence = str(error).removeprefix("--")
        else:
            runs.append(run)
            return run
        pytest.fail(f"chaos_run: {sentence}", pytrace=False)

    yield make
    if stash.get(PASSED, False):
        for run in runs:
            _remove(run.path, request.config.rootpath / artifacts.ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Yields[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
        if report.failed:
            again = shlex.join(["pytest", "--chaos", "--chaos-seed", "SEED", item.nodeid])
            report.sections += [
                (f"chaos run: {run.status}", f"{run.text}{again.replace('SEED', str(run.seed))}")
                for run in item.stash.get(RUNS, [])
            ]
    return report


def _name(test: str) -> str:
    """A test's name, as that of a workload and a directory."""
    return re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-")[:60] or "test"


def _remove(path: Path, root: Path) -> None:
    """A run's directory, and those above it that are empty then, up to `root`."""
    shutil.rmtree(path, ignore_errors=True)
    for parent in path.parents:
        try:
            parent.rmdir()
        except OSError:
            return
        if parent == root:
            return
