"""CPU seconds of linearizability checks: recorded histories with known verdicts, and large generated ones.

The peers' figures are from a 2-core machine of the same kind: Porcupine at 55508eb (CPU), Knossos 0.3.16 in a
warm JVM (wall), each on the recorded files; "do not finish" is what a general search comes to, not a run.
Generated histories are functions of their seed; the anomalies in them are planted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from rich.table import Table

from benchmarks import histories
from checkers.formats import detect_format, read_history
from checkers.history import Op
from checkers.linear import Linearizable
from checkers.models import MODELS, FailedCas

CORPORA: Final = "STORMCELLAR_CORPORA"
UNIQUE: Final = "Porcupine, Knossos: do not finish"
SIZES: Final = (10_000, 100_000, 1_000_000)


class Work(NamedTuple):
    """Histories, with the model and what a failed cas means in them."""

    name: str
    load: Callable[[], list[tuple[list[Op], str, FailedCas, str]]]
    """Each with its model, what a failed cas means, and the verdict it must get."""
    peers: str
    aim: str


def table() -> Table:
    result = Table(title="Linearizability: CPU seconds, reading the files not counted")
    for heading in ("work", "operations", "verdict", "CPU s", "peers", "aim"):
        result.add_column(heading, justify="right" if heading in ("operations", "CPU s") else "left")
    for work in _recorded():
        result.add_row(*_measured(work))
    if not os.environ.get(CORPORA):
        result.caption = f"Recorded histories are left out: {CORPORA} does not name a folder of them."
    for work in _generated():
        result.add_row(*_measured(work))
    return result


def _measured(work: Work) -> tuple[str, str, str, str, str, str]:
    operations, right, verdicts, cpu_s = 0, 0, [], 0.0
    for history, model, failed_cas, expected in work.load():
        checker = Linearizable(MODELS[model](), failed_cas=failed_cas, steps=50_000_000)
        before = time.process_time()
        verdict = checker.check(history)
        cpu_s += time.process_time() - before
        operations += sum(op.type == "invoke" for op in history)
        verdicts.append(verdict.status.value)
        right += verdict.status.value == expected
    said = verdicts[0] if len(verdicts) == 1 else f"{right} of {len(verdicts)} right"
    if len(verdicts) == 1 and not right:
        said += " (WRONG)" if said != "unknown" else ""
    return work.name, f"{operations:,}", said, f"{cpu_s:.2f}", work.peers, work.aim


def _recorded() -> Iterator[Work]:
    root = os.environ.get(CORPORA)
    if not root:
        return
    lines = Path(root, "expected.tsv").read_text().splitlines()[1:]
    rows = [(file, model, verdict) for file, model, verdict in (line.split("\t") for line in lines if line)]

    def load(prefix: str) -> list[tuple[list[Op], str, FailedCas, str]]:
        return [
            (read_history(Path(root, file)), model, detect_format(Path(root, file)).failed_cas, verdict)
            for file, model, verdict in rows
            if file.startswith(prefix)
        ]

    etcd = "Porcupine 1.61 s for 103 logs"
    knossos = "Knossos 4.0 s (wgl), 17 s (competition) for 121 files"
    yield Work("etcd logs", partial(load, "porcupine/jepsen/"), etcd, "0.1 s for 103")
    for name in ("c10-ok", "c10-bad", "c50-ok"):
        peers = {"c10-ok": "Porcupine 0.002 s", "c10-bad": "Porcupine 0.001 s"}.get(name, "Porcupine 0.61 s")
        yield Work(f"kv {name}", partial(load, f"porcupine/kv/{name}"), peers, "as Porcupine")
    yield Work("Knossos' registers and mutex", partial(load, "knossos/"), knossos, "0.1 s")


def _generated() -> Iterator[Work]:
    def one(
        model: str, expected: str, make: Callable[[], list[Op]]
    ) -> Callable[[], list[tuple[list[Op], str, FailedCas, str]]]:
        return lambda: [(make(), model, "ignore", expected)]

    def appended(crossed: bool) -> list[Op]:
        return histories.appends(10, 50, 2000, 1, crossed)

    yield Work(
        "kv, 10 keys, 50 clients",
        one("kv", "valid", partial(appended, False)),
        "Porcupine on c50-ok: 0.61 s",
        "0.61 s",
    )
    yield Work(
        "kv, 10 keys, 50 clients, two appends exchanged in each",
        one("kv", "invalid", partial(appended, True)),
        "Porcupine on c50-bad: 0.09 s",
        "0.09 s",
    )
    for size in SIZES:
        make = partial(histories.recorded, histories.register(None), size, 10, 0.01)
        yield Work(
            "one register, unique values, 1 % crashed",
            one("register", "valid", make),
            UNIQUE,
            "15 s for 1,000,000",
        )
    for size in SIZES:
        yield Work(
            "the same, one stale read",
            one("register", "invalid", partial(_stale, histories.register(None), size, 0.01)),
            UNIQUE,
            "15 s for 1,000,000",
        )
    deleted = histories.deleted_register()
    make = partial(histories.recorded, deleted, 100_000, 10, 0.01)
    yield Work("the same, 1 in 7 writes is a delete", one("register", "valid", make), UNIQUE, "2 s")
    yield Work(
        "the same, one stale read",
        one("register", "invalid", partial(_stale, deleted, 100_000, 0.01)),
        UNIQUE,
        "2 s",
    )
    few = histories.register(5)
    make = partial(histories.recorded, few, 100_000, 10, 0.001)
    yield Work(
        "one register, 5 values, 0.1 % crashed", one("register", "valid", make), "do not finish", "15 s"
    )
    yield Work(
        "the same, one stale read",
        one("register", "invalid", partial(_stale, few, 100_000, 0.001)),
        "do not finish",
        "15 s",
    )
    mixes: list[tuple[str, Callable[[], histories.Mix], str, histories.Change]] = [
        ("fifo-queue", histories.fifo_queue, "dequeue", _earlier),
        ("set", histories.grow_only_set, "contains", _denied),
        ("counter", histories.counter, "read", _earlier),
    ]
    for model, mix, f, wrong in mixes:
        yield Work(model, one(model, "valid", partial(_large, mix)), "exponential", "5 s")

        planted = partial(_planted, mix, f, wrong)
        yield Work(f"{model}, one wrong answer", one(model, "invalid", planted), "exponential", "5 s")


def _planted(mix: Callable[[], histories.Mix], f: str, wrong: histories.Change) -> list[Op]:
    return histories.with_one_answer_changed(_large(mix), f, wrong, 0.5)


def _large(mix: Callable[[], histories.Mix]) -> list[Op]:
    return histories.recorded(mix(), 100_000, 10, 0.001)


def _stale(mix: histories.Mix, size: int, crashed: float) -> list[Op]:
    return histories.with_stale_read(histories.recorded(mix, size, 10, crashed))


def _earlier(value: int) -> int:
    return value - 1_000


def _denied(value: list[int | bool]) -> list[int | bool]:
    return [value[0], not value[1]]
