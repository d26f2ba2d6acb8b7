"""Session guarantees where a read gives several values."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import HistoryError, Op
from checkers.sessions import SiblingSessions
from checkers.verdict import Status, Verdict


def run(*calls: tuple[int, str, Any]) -> list[Op]:
    """One call after the other: (process, "w", value) or (process, "r", values)."""
    events: list[Op] = []
    for process, f, value in calls:
        name, asked = ("write", value) if f == "w" else ("read", None)
        at = len(events)
        events += [
            Op(at, at, process, "invoke", name, "x", asked),
            Op(at + 1, at + 1, process, "ok", name, "x", value),
        ]
    return events


def judged(*calls: tuple[int, str, Any]) -> Verdict:
    return SiblingSessions().check(run(*calls))


@pytest.mark.parametrize(
    ("calls", "broken"),
    [
        ([(0, "w", 1), (1, "w", 2), (0, "r", [1, 2])], []),
        ([(0, "w", 1), (1, "w", 2), (0, "r", [2])], ["read-your-writes"]),
        ([(0, "w", 1), (1, "r", [1]), (1, "w", 2), (0, "r", [2])], []),
        ([(0, "w", 1), (1, "r", [1]), (1, "r", [])], ["monotonic-reads"]),
        ([(0, "w", 1), (1, "r", [1]), (1, "w", None), (0, "r", [])], []),
        ([(0, "w", 1), (1, "w", None), (0, "r", [])], ["read-your-writes"]),
        ([(0, "w", 1), (1, "w", 2), (2, "r", [1, 2]), (2, "r", [1])], ["monotonic-reads"]),
    ],
)
def test_what_may_have_been_replaced_is_not_missed(
    calls: list[tuple[int, str, Any]], broken: list[str]
) -> None:
    verdict = judged(*calls)
    assert [part.checker for part in verdict.parts if part.status is Status.INVALID] == broken
    assert verdict.status is (Status.INVALID if broken else Status.VALID)


def test_a_value_that_nobody_wrote_and_one_that_was_written_twice() -> None:
    assert judged((0, "r", [7])).details["anomaly"] == "thin-air read"
    with pytest.raises(HistoryError, match="written twice"):
        judged((0, "w", 1), (0, "w", 1), (0, "r", [1]))
    with pytest.raises(HistoryError, match="gives a list"):
        judged((0, "w", 1), (0, "r", 1))
    with pytest.raises(HistoryError, match="not for siblings"):
        SiblingSessions().check([Op(process=0, f="cas", value=[1, 2])])


def test_what_was_replaced_once_is_not_missed_again() -> None:
    verdict = judged((0, "w", 1), (1, "r", [1]), (1, "w", 2), (0, "r", [2]), (0, "r", []))
    assert (verdict.status, verdict.details["missing"]) == (Status.INVALID, 1)


def test_an_indeterminate_write_may_be_known_to_its_process() -> None:
    events = run((0, "w", 1), (1, "r", [1]), (0, "w", 2), (1, "r", [2]))
    events[1] = replace(events[1], type="info")
    assert SiblingSessions().check(events).status is Status.VALID


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[int, str, Any]]:
    found: list[tuple[int, str, Any]] = []
    for number in range(1, draw(st.integers(1, 9)) + 1):
        process = draw(st.integers(0, 2))
        written = [value for _, f, value in found if f == "w" and value is not None]
        if draw(st.booleans()):
            found.append((process, "w", draw(st.sampled_from([number, number, None]))))
        else:
            found.append((process, "r", [value for value in written if draw(st.booleans())]))
    return found


def naive(found: list[tuple[int, str, Any]]) -> dict[str, bool]:
    """By what each call can have known, followed back call by call."""

    def known(at: int) -> set[int]:
        process, f, value = found[at]
        past = {at}
        for before in range(at - 1, -1, -1):
            if found[before][0] == process or (
                f == "r" and found[before][1] == "w" and found[before][2] in value
            ):
                past |= known(before)
        return past

    def missing(write: int, read: int) -> bool:
        told = [at for at in range(read) if found[at][1] == "w" and found[at][2] in found[read][2]]
        gone = [at for at in range(read) if found[at][1] == "w" and found[at][2] is None]
        return not any(write in known(at) for at in told + gone)

    broken = {"read-your-writes": False, "monotonic-reads": False}
    for read, (process, f, _) in enumerate(found):
        if f != "r":
            continue
        for earlier in range(read):
            if found[earlier][0] != process:
                continue
            if found[earlier][1] == "w" and found[earlier][2] is not None:
                broken["read-your-writes"] |= missing(earlier, read)
            elif found[earlier][1] == "r":
                for write in range(earlier):
                    if found[write][1] == "w" and found[write][2] in found[earlier][2]:
                        broken["monotonic-reads"] |= missing(write, read)
    return broken


@settings(max_examples=400, deadline=None)
@given(calls())
def test_it_agrees_with_following_everything_back(found: list[tuple[int, str, Any]]) -> None:
    parts = {part.checker: part.status is Status.INVALID for part in judged(*found).parts}
    right = naive(found)
    if not any(right.values()):
        assert not any(parts.values())
    assert any(parts.values()) == any(right.values())


@pytest.mark.parametrize("seed", range(5))
def test_a_store_of_siblings_is_acquitted_and_one_that_forgets_is_not(seed: int) -> None:
    assert SiblingSessions().check(run(*_store(Random(seed), 300, forgets=False))).status is Status.VALID
    assert SiblingSessions().check(run(*_store(Random(seed), 300, forgets=True))).status is Status.INVALID


def _store(rng: Random, size: int, forgets: bool) -> list[tuple[int, str, Any]]:
    """One copy; a write replaces what its client was shown last."""
    held: set[int] = set()
    shown: list[set[int]] = [set() for _ in range(3)]
    found: list[tuple[int, str, Any]] = []
    for number in range(1, size + 1):
        client = rng.randrange(3)
        if rng.random() < 0.5:
            held = (held - shown[client]) | {number}
            shown[client] |= {number}
            found.append((client, "w", number))
        else:
            if forgets and held and rng.random() < 0.2:
                held.discard(min(held))
            shown[client] = set(held)
            found.append((client, "r", sorted(held)))
    return found
