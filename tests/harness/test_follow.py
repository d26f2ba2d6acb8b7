"""What is found to be wrong while a run goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import HistoryError, Op
from checkers.monotonic import Monotonic
from checkers.sessions import Sessions
from checkers.unique_ids import UniqueIds
from checkers.verdict import Checker, Status
from harness import catalog, follow
from harness.plan import Plan


def work(name: str, level: str = "one") -> follow.Judged:
    return catalog.assemble(Plan(workload=name, level=level)).workload


def test_only_what_a_beginning_can_be_convicted_of_is_looked_for() -> None:
    followed = {name for name in catalog.WORKLOADS if follow.is_followed(work(name))}
    assert {"register", "queue", "sessions", "monotonic", "unique-ids"} <= followed
    assert not {"set", "set-full", "cart", "counter"} & followed


def written(path: Path, events: list[Op]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(op) + b"\n" for op in events))
    return path


def ids(count: int, again_at: int) -> list[Op]:
    """Each its own, but for one."""
    events = []
    for number in range(count):
        value = number - 1 if number == again_at else number
        events += [Op(process=1, f="generate"), Op(process=1, type="ok", f="generate", value=value)]
    return events


def test_a_history_without_a_stream_is_judged_again_when_it_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    refused = [msgspec.structs.replace(op, type="fail") if op.type == "ok" else op for op in ids(250, -1)]
    assert len(refused) >= follow.EVENTS_MIN, "so that it is judged, and is vacuous"
    path = written(tmp_path / "history.jsonl", refused)
    monkeypatch.setattr(follow, "LOOK_S", 0.01)

    def look() -> None:
        found.append(follow.follow(path, work("unique-ids")))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(op) + b"\n" for op in ids(follow.EVENTS_MIN, again_at=7)))
    thread.join(20)
    assert found
    assert "given out more than once" in found[0]


VALUES = st.integers(0, 3)
KINDS = st.sampled_from(["ok", "fail", "info"])


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    """Of three processes that do everything that any of these checkers looks at; each value is written
    once."""
    events: list[Op] = []
    open_: dict[int, Op] = {}
    processes, written_ = [0, 1, 2], 0
    for _ in range(draw(st.integers(0, 24))):
        place = draw(st.integers(0, 2))
        process = processes[place]
        if process not in open_:
            f = draw(st.sampled_from(["read", "write", "increment", "generate"]))
            written_ += f == "write"
            op = Op(process=process, f=f, key="k", value=written_ if f == "write" else None)
            open_[process] = op
            events.append(op)
            continue
        asked, kind = open_.pop(process), draw(KINDS)
        value = asked.value if asked.f == "write" else draw(VALUES)
        events.append(Op(process=process, type=kind, f=asked.f, key="k", value=value))
        processes[place] += 3 * (kind == "info")
    return events


@pytest.mark.parametrize("kind", follow.OF_BEGINNINGS)
@given(data=st.data())
def test_what_is_wrong_with_a_beginning_is_wrong_with_the_whole(
    kind: type[Checker], data: st.DataObject
) -> None:
    history = data.draw(histories())
    beginning = history[: data.draw(st.integers(0, len(history)))]
    if judged(kind, beginning) is Status.INVALID:
        assert judged(kind, history) is Status.INVALID


KNOWN = {Sessions: ("read", "write"), Monotonic: ("read", "increment"), UniqueIds: ("generate",)}


def judged(kind: type[Checker], history: list[Op]) -> Status | None:
    try:
        return kind().check([op for op in history if op.f in KNOWN[kind]]).status
    except HistoryError:
        return None
