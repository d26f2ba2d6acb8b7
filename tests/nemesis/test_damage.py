"""Faults of disks and files: what is drawn, whom it strikes, and what the cluster is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.context import Context
from harness.generator import Generator, Pending
from harness.ledger import Requested, ledger
from nemesis.base import Fault
from nemesis.compose import Nemesis, parse_faults
from nemesis.files import KINDS
from tests.nemesis.test_faults import FIVE, Bare, Recording, fault, injections, invoke

seeds = st.integers(min_value=0, max_value=2**64 - 1)


def schedule(made: Fault, seed: int, count: int) -> list[Op]:
    """The first operations of its schedule, each completed at once."""
    generator: Generator | None = Nemesis([made]).generator(1, seed)
    ctx = Context(0, (NEMESIS,), (NEMESIS,), {NEMESIS: NEMESIS})
    found: list[Op] = []
    while len(found) < count:
        assert generator is not None
        answer = generator.op(ctx)
        if isinstance(answer, Pending):
            assert answer.until is not None
            ctx = ctx._replace(time=answer.until)
            generator = answer.generator or generator
            continue
        assert isinstance(answer, tuple)
        op, generator = answer
        assert generator is not None
        found.append(op)
        for kind in ("invoke", "info"):
            event = Op(process=NEMESIS, type=kind, f=op.f, value=op.value, time=ctx.time)
            after = generator.update(ctx, event)
            assert after is not None
            generator = after
    return found


@given(seeds)
def test_without_a_target_it_is_the_same_node_that_is_damaged_all_the_time(seed: int) -> None:
    ops = [op for op in schedule(fault("files"), seed, 30) if op.f != "files-start"]
    (victim,) = {tuple(op.value["nodes"]) for op in ops}
    assert len(victim) == 1


def test_any_node_may_be_the_one() -> None:
    victims = {schedule(fault("files"), seed, 1)[0].value["nodes"][0] for seed in range(60)}
    assert victims == set(FIVE)


def test_all_kinds_of_damage_come_each_after_a_snapshot_and_before_a_start() -> None:
    ops = schedule(fault("files"), 1, 90)
    assert {op.f for op in ops[::3]} == {"files-snapshot"}
    assert {op.f for op in ops[1::3]} == {f"files-{kind}" for kind in KINDS}
    assert {op.f for op in ops[2::3]} == {"files-start"}


def test_what_needs_no_snapshot_takes_none() -> None:
    assert [op.f for op in schedule(fault("files:flip"), 1, 4)] == ["files-flip", "files-start"] * 2
    assert schedule(fault("files:restore"), 1, 1)[0].f == "files-snapshot"


def test_a_target_that_is_asked_for_is_struck_whoever_keeps_a_good_copy() -> None:
    struck = {tuple(op.value["nodes"]) for op in injections("files:flip=*.sst@majority", 40)}
    assert {len(nodes) for nodes in struck} == {3}
    assert len(struck) > 3
    (snapshot, damage) = schedule(fault("files:restore@n2+n4"), 1, 2)
    assert snapshot.value["nodes"] == damage.value["nodes"] == ["n2", "n4"]
    assert schedule(fault("files:restore@one"), 1, 1)[0].value["nodes"] == list(FIVE)


def test_a_pattern_is_handed_on() -> None:
    (op,) = injections("files:truncate=records/*.log@n3", 1)
    cluster = Recording()
    invoke(op, cluster)
    assert cluster.told == [("truncate", (("n3",), "records/*.log", op.value["bytes_lost"]))]


@given(seeds)
def test_damage_is_of_a_size_that_may_matter(seed: int) -> None:
    for op in schedule(fault("files"), seed, 6):
        match op.f:
            case "files-flip":
                assert 1 <= op.value["bits"] <= 128
            case "files-truncate":
                assert 1 <= op.value["bytes_lost"] <= 8192
            case "files-roll-back":
                assert 0 < op.value["fraction"] <= 1


def test_a_snapshot_is_no_injection_and_a_start_no_evidence_of_damage() -> None:
    made = fault("files:restore")
    history = []
    for op in schedule(made, 1, 3):
        history += [op, invoke(op, Harmless())]
    (entry,) = ledger(history, [Requested(made.name, made.begins, made.ends)])
    assert entry.f == "files-restore"
    assert (entry.observed, entry.healed_s is not None) == (False, True)


class Harmless(Recording):
    """Whatever is damaged stays as it was, but nodes start."""

    async def restore_files(self, nodes: tuple[str, ...]) -> Any:
        return self._tell("restore_files", nodes).__class__(False, "the same as before")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("files:flop", "files:flop: must be flip, truncate, roll-back, restore, and after that =PATTERN"),
        ("files:flip@n9", "files:flip@n9: must be one, minority, majority, all, or nodes joined by '+'"),
        ("disk:rot", "disk:rot: must be full, slow, and after that @TARGET if you like"),
        ("disk:full@n9+n1", "disk:full@n9+n1: must be one, minority"),
        ("power:n9", "power:n9: must be one, minority"),
        ("rot:nobody9", "rot:nobody9: must be one, minority"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        parse_faults([spec], FIVE)


def test_a_disk_is_filled_or_slowed_where_it_was_asked_for() -> None:
    assert {op.f for op in injections("disk", 60)} == {"disk-full", "disk-slow"}
    assert {len(op.value["nodes"]) for op in injections("disk:full", 60)} == {1, 2}
    for op in injections("disk:slow@n1+n5", 5):
        assert (op.f, op.value["nodes"]) == ("disk-slow", ["n1", "n5"])


def test_roles_may_be_struck() -> None:
    for spec in ("disk:full@council", "rot:council", "power:council", "files:flip@council"):
        (op,) = injections(spec, 1)
        assert op.value["role"] == "council"
        assert fault(spec).roles == {"council"}  # type: ignore[attr-defined]


def test_power_fails_at_all_nodes_often() -> None:
    sizes = [len(op.value["nodes"]) for op in injections("power", 100)]
    assert sizes.count(5) > 25
    assert set(sizes) == {1, 2, 3, 5}


def test_a_fault_is_not_supported_where_nodes_cannot_be_started_again() -> None:
    class Dark(Bare):
        power_off = flip = truncate = snapshot = roll_back = restore_files = Recording.power_off

    for spec in ("power", "files"):
        assert not fault(spec).supported(Dark())  # type: ignore[arg-type]
        assert "does not support" in str(invoke(fault(spec).healing(), Dark(), (spec,)).error)
