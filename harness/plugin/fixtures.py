"""The fixtures `chaos_cluster` and `chaos_run`; loaded with `--chaos` only (`harness/pytest_plugin.py`).

A run is kept in `runs/pytest/TEST/` below pytest's root directory. That of a test that passed is removed;
that of one that failed stays, and its report is a section of pytest's own.
"""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import threading
from collections.abc import Generator as Yields
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trio

from checkers.history import HistoryError
from checkers.linear import Linearizable
from checkers.models import Model, model_named
from checkers.verdict import Checker
from harness.generator import Generator
from harness.plan import Plan, PlanError, versions
from harness.plugin.asking import Functions, check_judgeable
from harness.plugin.cluster import ServiceCluster
from harness.plugin.run import ChaosRun, carry_out
from harness.plugin.session import Function
from harness.recorder import RecorderError
from harness.report import artifacts
from harness.report.artifacts import ArtifactsError

RUNS: Final = pytest.StashKey[list[ChaosRun]]()
PASSED: Final = pytest.StashKey[bool]()
JUDGING_S: Final = 60


class MakeCluster:
    """`chaos_cluster(argv, nodes=3, env={}, cwd=None, ready_s=20)`: so many processes of a service, which
    `chaos_run` starts. Placeholders in `argv` and `env`: {name} {host} {port} {address} {data} {peers}, and
    {n1}, {n2}, ... for the address at which this node reaches that one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(
        self,
        argv: Sequence[str],
        *,
        nodes: int = 3,
        env: Mapping[str, str] = {},
        cwd: str | Path | None = None,
        ready_s: float = 20.0,
    ) -> ServiceCluster:
        try:
            return ServiceCluster(argv, nodes, env, Path(cwd or self._root), ready_s)
        except ValueError as error:
            sentence = str(error)
        pytest.fail(f"chaos_cluster: {sentence}", pytrace=False)


class MakeRun:
    """`chaos_run(cluster, {"read": read, "write": write}, model="register", faults=["kill"],
    time_limit_s=10)`: breaks the cluster while clients ask it, and gives the verdict. See docs/pytest.md."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self.runs: list[ChaosRun] = []

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
    ) -> ChaosRun:
        try:
            _check_place()
            _check_cluster(cluster)
            judged_as = _model(model)
            if judged_as is None and not checkers:
                raise ValueError("it needs a model or checkers, or nothing would be judged")
            if generator is None and not checkers:
                check_judgeable(operations.keys())
            own = [Linearizable(judged_as, failed_cas="mismatch", seconds=JUDGING_S)] if judged_as else []
            plan = self._plan(
                cluster,
                faults=faults,
                time_limit_s=time_limit_s,
                concurrency=concurrency,
                rate=rate,
                op_timeout_s=op_timeout_s,
                seed=self._seed(seed),
            )
            work = Functions(operations, judged_as, generator)
            root = self._item.config.rootpath / artifacts.ROOT / "pytest"
            run = carry_out(cluster, work, [*own, *checkers], plan, root)
        except (ValueError, PlanError, HistoryError, ArtifactsError, RecorderError) as error:
            sentence = str(error).removeprefix("--")
        else:
            self.runs.append(run)
            return run
        pytest.fail(f"chaos_run: {sentence}", pytrace=False)

    def _seed(self, seed: int | None) -> int:
        asked = self._item.config.getoption("--chaos-seed") if seed is None else seed
        return secrets.randbelow(1 << 32) if asked is None else asked

    def _plan(self, cluster: ServiceCluster, *, seed: int, **options: Any) -> Plan:
        """Raises ValueError for an option of a wrong type."""
        plan = Plan(
            workload=_name(self._item.name),
            cluster=cluster.name,
            nodes=cluster.nodes,
            replication=len(cluster.nodes),
            seed=seed,
            argv=_again(self._item, seed),
            versions=versions(),
            **options,
        )
        typed = msgspec.convert(msgspec.to_builtins(plan), Plan)
        return msgspec.structs.replace(typed, fault_interval_s=max(0.01, round(typed.time_limit_s / 3, 2)))


@pytest.fixture
def chaos_cluster(request: pytest.FixtureRequest) -> MakeCluster:
    return MakeCluster(request.config.rootpath)


@pytest.fixture
def chaos_run(request: pytest.FixtureRequest) -> Yields[MakeRun]:
    make = MakeRun(request.node)
    request.node.stash[RUNS] = make.runs
    yield make
    if request.node.stash.get(PASSED, False):
        for run in make.runs:
            _remove(run.path, request.config.rootpath / artifacts.ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Yields[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    if report.failed and report.when != "teardown":
        report.sections += [
            (f"chaos run: {run.status}", f"{run.text}{shlex.join(_again(item, run.seed))}")
            for run in item.stash.get(RUNS, [])
        ]
    return report


def _check_place() -> None:
    """Raises ValueError where nothing can be run."""
    if trio.lowlevel.in_trio_run():
        raise ValueError("it runs a trio loop of its own, so it cannot be called from within one")
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("it has to be called in the main thread, where ctrl-C arrives")


def _model(model: object) -> Model | None:
    if model is None or isinstance(model, Model):
        return model
    if isinstance(model, str):
        return model_named(model)
    raise ValueError(f"model is {model!r}; it is the name of a model or a Model")


def _check_cluster(cluster: object) -> None:
    if not isinstance(cluster, ServiceCluster):
        raise ValueError(f"cluster is {cluster!r}; it is what chaos_cluster gave")


def _again(item: pytest.Item, seed: int) -> tuple[str, ...]:
    return ("pytest", "--chaos", "--chaos-seed", str(seed), item.nodeid)


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
