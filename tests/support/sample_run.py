"""A made-up run whose figures can be checked by hand: a minute, three kinds of operation, four faults."""

from pathlib import Path
from random import Random

from checkers.history import NEMESIS, Op
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.plan import Plan
from harness.report.summary import RunSummary

S = 1_000_000_000

ENTRIES = (
    Entry(
        "partition",
        "partition",
        {
            "shape": "halves",
            "grudge": {"n1": ["n3", "n4", "n5"], "n2": ["n3", "n4", "n5"]}
            | {node: ["n1", "n2"] for node in ("n3", "n4", "n5")},
        },
        10.0,
        10.0,
        True,
        "12 links cut; 341 messages dropped",
        20.2,
    ),
    Entry(
        "kill",
        "kill",
        {"target": "minority", "nodes": ["n2", "n4"]},
        12.5,
        12.5,
        True,
        "n2 and n4 refuse connections",
        22.5,
    ),
    Entry(
        "clock",
        "clock-bump",
        {"target": "minority", "offsets_ms": {"n1": 1500, "n5": -250}},
        25.0,
        25.0,
        False,
        "n5 shows no offset",
        31.0,
    ),
    Entry("pause", "pause", {"nodes": ["n1"]}, 33.0, 33.1, None, "", None),
    Entry("kill", "kill", {"nodes": ["n3"]}, 50.0, error="n3: no such process"),
)

WRONG_HISTORY = [
    Op(0, 12_345_000_000, 3, "invoke", "write", "r12", 17),
    Op(1, 12_346_000_000, 4, "invoke", "write", "r12", 18),
    Op(2, 12_401_000_000, 3, "ok", "write", "r12", 17),
    Op(3, 12_402_000_000, 5, "invoke", "read", "r12"),
    Op(4, 12_410_000_000, 5, "ok", "read", "r12", 18),
    Op(5, 12_500_000_000, 7, "invoke", "read", "r12"),
    Op(6, 12_520_000_000, 7, "ok", "read", "r12", 17),
]


def told(
    process: int, f: str, value: object, outcome: str, span: tuple[int, int | None], ms: tuple[int, int]
) -> dict[str, object]:
    """An operation as `checkers.linear` tells it."""
    return {
        "process": process,
        "f": f,
        "value": value,
        "outcome": outcome,
        "start": span[0],
        "end": span[1],
        "invoked_ns": ms[0] * 1_000_000,
        "completed_ns": ms[1] * 1_000_000,
        "open_at_the_end": outcome == "info",
    }


WRONG = [
    told(3, "write", 17, "ok", (0, 2), (12_345, 12_401)),
    told(4, "write", 18, "info", (1, None), (12_346, -1)),
    told(5, "read", 18, "ok", (3, 4), (12_402, 12_410)),
    told(7, "read", 17, "ok", (5, 6), (12_500, 12_520)),
]
EXPLANATION = [
    "process 7 read 17 on key r12 (12.500 s to 12.520 s), but before that process 5 read 18",
    "It began as nil; these 4 operations contradict each other:",
    "  process 3 wrote 17",
    "  process 4 perhaps wrote 18",
    "  process 5 read 18",
    "  process 7 read 17",
    "When every completion before that of process 7's read is explained, the value could only be 18.",
]


def history(seconds: int = 60, rate: int = 200) -> list[Op]:
    """`rate` operations a second; those that begin in seconds 10 to 20 mostly fail or stay unknown."""
    draw = Random(1)
    events: list[tuple[int, int, int, str, str, int | None]] = []
    for number in range(seconds * rate):
        start = number * S // rate
        f = ("read", "read", "write", "cas")[number % 4]
        bad = 10 * S <= start < 20 * S
        outcome = (
            draw.choice(["ok", "fail", "info"]) if bad else "fail" if f == "cas" and number % 7 == 0 else "ok"
        )
        took = draw.randrange(1_000_000, 20_000_000)
        events.append((start, number, number, "invoke", f, None))
        events.append((start + took, number, number, outcome, f, number))
    for at, f in ((10 * S, "partition"), (20 * S, "heal-partition")):
        events += [(at, -2, -1, "invoke", f, None), (at + S // 10, -1, -1, "info", f, None)]
    events.sort()
    return [
        Op(index, at, NEMESIS if process < 0 else process, type_, f, None if process < 0 else "r0", value)
        for index, (at, _, process, type_, f, value) in enumerate(events)
    ]


def valid_verdict() -> Verdict:
    served = {"expected": 9_000, "served": 8_991, "fraction": 0.999, "required": 0.95}
    return Verdict(
        "all",
        Status.VALID,
        "linearizable: 10,309 operations on 124 keys: linearizable as cas-register; and so on",
        parts=(
            Verdict(
                "linearizable",
                Status.VALID,
                "10,309 operations on 124 keys: linearizable as cas-register",
            ),
            Verdict(
                "availability",
                Status.VALID,
                "served 8,991 of the 9,000 operations that should have been",
                served,
            ),
            Verdict("stats", Status.VALID, "12,000 operations: 10,309 ok, 1,056 fail, 635 info"),
            Verdict("faults", Status.VALID, "partition bit 1 of 1 times; kill bit 1 of 2 times"),
        ),
    )


def invalid_verdict() -> Verdict:
    details = {"key": "r12", "operations": WRONG, "explanation": EXPLANATION, "blocked_at": 6}
    leaf = Verdict("linearizable", Status.INVALID, f"key r12: {EXPLANATION[0]}", details)
    return Verdict("run", Status.INVALID, leaf.summary, parts=(leaf, *valid_verdict().parts[1:]))


def summary(verdict: Verdict, **changes: object) -> RunSummary:
    fields = {
        "plan": Plan(seed=42),
        "history": history(),
        "verdict": verdict,
        "entries": ENTRIES,
        "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "run_dir": Path("runs/register/20260131T142233.123Z"),
    } | changes
    return RunSummary(**fields)  # type: ignore[arg-type]
