from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.cluster.base import Behaviour, ClusterError, Evidence, Grudge
from harness.context import Context
from harness.generator import Pending
from nemesis.base import Fault, nemesis_op
from nemesis.clock import draw_offset_ms, draw_period_ms, draw_rate_ppm
from nemesis.compose import FAULTS, Nemesis, parse_faults
from nemesis.partition import SHAPES, draw_cut

FIVE = ("n1", "n2", "n3", "n4", "n5")
seeds = st.integers(min_value=0, max_value=2**64 - 1)


class Bare:
    """A cluster that can do nothing."""

    name = "bare"
    nodes = FIVE


class Recording(Bare):
    """A cluster that can do everything, and writes down what it was told."""

    name = "recording"
    spares = ("s1",)

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("kill", nodes)

    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("stop", nodes)

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("start", nodes)

    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("pause", nodes)

    async def resume(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("resume", nodes)

    async def cut(self, grudge: Grudge) -> Evidence:
        return self._tell("cut", grudge)

    async def heal(self) -> Evidence:
        return self._tell("heal", None)

    async def cut_clients(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("cut_clients", nodes)

    async def heal_clients(self) -> Evidence:
        return self._tell("heal_clients", None)

    async def shape(self, nodes: tuple[str, ...], behaviour: Behaviour) -> Evidence:
        return self._tell("shape", (nodes, behaviour))

    async def unshape(self) -> Evidence:
        return self._tell("unshape", None)

    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        return self._tell("bump", offsets_ms)

    async def reset(self) -> Evidence:
        return self._tell("reset", None)

    async def strobe(self, deltas_ms: Mapping[str, int], period_ms: int) -> Evidence:
        return self._tell("strobe", (deltas_ms, period_ms))

    async def drift(self, rates_ppm: Mapping[str, int]) -> Evidence:
        return self._tell("drift", rates_ppm)

    async def rot(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("rot", nodes)

    async def survey(self) -> Evidence:
        return self._tell("survey", None)

    async def flip(self, nodes: tuple[str, ...], files: str, bits: int, seed: int) -> Evidence:
        return self._tell("flip", (nodes, files, bits, seed))

    async def truncate(self, nodes: tuple[str, ...], files: str, bytes_lost: int) -> Evidence:
        return self._tell("truncate", (nodes, files, bytes_lost))

    async def snapshot(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("snapshot", nodes)

    async def roll_back(self, nodes: tuple[str, ...], files: str, fraction: float, seed: int) -> Evidence:
        return self._tell("roll_back", (nodes, files, fraction, seed))

    async def restore_files(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("restore_files", nodes)

    async def power_off(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("power_off", nodes)

    async def fill(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("fill", nodes)

    async def slow(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("slow", nodes)

    async def mend_disks(self) -> Evidence:
        return self._tell("mend_disks", None)

    async def burn_cpu(self, nodes: tuple[str, ...]) -> Evidence:
        return self._tell("burn_cpu", nodes)

    async def hog_memory(self, nodes: tuple[str, ...], fraction: float) -> Evidence:
        return self._tell("hog_memory", (nodes, fraction))

    async def relax(self) -> Evidence:
        return self._tell("relax", None)

    async def join(self, node: str) -> Evidence:
        return self._tell("join", node)

    async def leave(self, node: str) -> Evidence:
        return self._tell("leave", node)

    async def replace(self, node: str, by: str) -> Evidence:
        return self._tell("replace", (node, by))

    async def wipe(self, node: str) -> Evidence:
        return self._tell("wipe", node)

    async def restore(self, limit_s: float = 0) -> Evidence:
        return self._tell("restore", None)

    def _tell(self, what: str, argument: Any) -> Evidence:
        self.told.append((what, argument))
        return Evidence(True, f"did {what}")


def fault(spec: str, nodes: tuple[str, ...] = FIVE) -> Fault:
    (made,) = parse_faults([spec], nodes)
    return made


@pytest.mark.parametrize(("spec", "end"), [("disk", "disk-mend"), ("membership", "members-restore")])
def test_every_kind_of_a_fault_is_drawn_or_the_one_that_was_asked_for(spec: str, end: str) -> None:
    made = fault(spec)
    assert {op.f for op in injections(spec, 200)} == made.begins
    assert made.ends == {end} == {made.healing().f}
    (first, *_) = sorted(made.begins)
    assert {op.f for op in injections(f"{spec}:{first.partition('-')[2]}", 9)} == {first}
    with pytest.raises(ValueError, match=f"^{spec}:none: must be "):
        fault(f"{spec}:none")


def test_a_change_of_members_takes_one_node_of_its_target() -> None:
    drawn = injections("membership:leave@n2+n4", 30)
    assert {tuple(op.value["nodes"]) for op in drawn} == {("n2",), ("n4",)}
    (op,) = injections("membership:wipe@steward", 1)
    assert (op.f, op.value["role"]) == ("member-wipe", "steward")


def test_a_change_of_members_is_told_with_its_node_and_a_spare() -> None:
    cluster = Recording()
    for kind in ("leave", "join", "replace", "wipe"):
        invoke(nemesis_op(f"member-{kind}", {"nodes": ["n2"]}), cluster)
    assert cluster.told == [
        ("leave", "n2"),
        ("join", "s1"),
        ("replace", ("n2", "s1")),
        ("wipe", "n2"),
    ]


@given(seeds)
def test_a_clock_drifts_by_no_more_than_a_kernel_allows(seed: int) -> None:
    assert 10 <= abs(draw_rate_ppm(seed)) <= 81_920


@given(seeds)
def test_a_strobe_takes_a_millisecond_to_a_second(seed: int) -> None:
    assert 1 <= draw_period_ms(seed) < 1024


def test_a_strobe_has_a_jump_for_each_node_and_one_period() -> None:
    (op,) = injections("strobe:minority", 1)
    cluster = Recording()
    invoke(op, cluster)
    assert cluster.told == [("strobe", (op.value["deltas_ms"], op.value["period_ms"]))]
    assert len(set(op.value["deltas_ms"].values())) == 2
    assert {draw_period_ms(seed).bit_length() for seed in range(300)} == set(range(1, 11))


@pytest.mark.parametrize("spec", ["clock", "strobe", "drift"])
def test_all_that_is_done_to_clocks_is_healed_by_making_them_right(spec: str) -> None:
    cluster = Recording()
    invoke(fault(spec).healing(), cluster)
    assert cluster.told == [("reset", None)]


def injections(spec: str, count: int = 50) -> list[Op]:
    """What the fault's schedule begins with, for as many seeds."""
    found = []
    for seed in range(count):
        idle = Context(0, (NEMESIS,), (NEMESIS,), {NEMESIS: NEMESIS})
        waiting = fault(spec).generator(1, seed).op(idle)
        assert isinstance(waiting, Pending)
        assert waiting.generator is not None
        assert waiting.until is not None
        answer = waiting.generator.op(idle._replace(time=waiting.until))
        assert isinstance(answer, tuple)
        found.append(answer[0])
    return found


def invoke(op: Op, cluster: Any, specs: tuple[str, ...] = tuple(FAULTS)) -> Op:
    return trio.run(Nemesis(parse_faults(specs, FIVE)).invoke, op, cluster)


@pytest.mark.parametrize("spec", [name for name in FAULTS if name != "restart"])  # that tells several things
def test_what_was_chosen_survives_json_and_is_what_the_cluster_is_told(spec: str) -> None:
    for op in (*injections(spec, 5), fault(spec).healing()):
        cluster, again = Recording(), Recording()
        completion = invoke(op, cluster)
        recorded = msgspec.json.decode(msgspec.json.encode(op), type=Op)
        assert invoke(recorded, again) == completion
        assert again.told == cluster.told
        assert completion.type == "info"
        assert completion.error is None
        (what,) = [what for what, _ in cluster.told]
        bit = op.f not in ("start", "power-on", "files-start")  # which says nothing of what ended the nodes
        assert completion.value == {**(op.value or {}), "bit": bit, "detail": f"did {what}"}


@pytest.mark.parametrize(
    ("spec", "begins", "ends"),
    [
        ("partition", "partition", "heal-partition"),
        ("kill", "kill", "start"),
        ("pause", "pause", "resume"),
        ("clock", "clock-bump", "clock-reset"),
        ("strobe", "strobe", "strobe-end"),
        ("drift", "drift", "drift-end"),
    ],
)
def test_the_names_of_the_operations(spec: str, begins: str, ends: str) -> None:
    made = fault(spec)
    assert (made.name, made.begins, made.ends) == (spec, frozenset({begins}), frozenset({ends}))
    assert {op.f for op in injections(spec, 3)} == {begins}
    assert made.healing().f == ends
    assert "\n" not in made.summary
    assert FAULTS[spec].summary == made.summary


@pytest.mark.parametrize("spec", list(FAULTS))
def test_a_cluster_without_the_capability_is_told_apart_and_not_asked(spec: str) -> None:
    made = fault(spec)
    assert made.supported(Recording())  # type: ignore[arg-type]  # has what is asked for
    assert not made.supported(Bare())  # type: ignore[arg-type]
    completion = invoke(made.healing(), Bare())
    assert completion.error == f"the cluster bare does not support the fault {spec}"


@pytest.mark.parametrize("spec", ["kill", "pause"])
def test_a_process_fault_strikes_its_targets_and_heals_all_nodes(spec: str) -> None:
    sizes = {op.value["target"]: len(op.value["nodes"]) for op in injections(spec)}
    assert sizes == {"one": 1, "minority": 2, "majority": 3} | ({"all": 5} if spec == "kill" else {})
    assert {len(op.value["nodes"]) for op in injections(f"{spec}:minority", 9)} == {2}
    assert {tuple(op.value["nodes"]) for op in injections(f"{spec}:n2+n5", 9)} == {("n2", "n5")}
    assert fault(spec).healing().value == {"target": "all", "nodes": list(FIVE)}


def test_a_partition_draws_every_shape_or_the_one_that_was_asked_for() -> None:
    assert {op.value["shape"] for op in injections("partition")} == set(SHAPES)
    assert {op.value["shape"] for op in injections("partition:bridge", 9)} == {"bridge"}


def test_one_way_strikes_either_side() -> None:
    sizes = {len(draw_cut(["one-way"], FIVE, seed).grudge) for seed in range(20)}
    assert sizes == {2, 3}


@given(seeds, st.sampled_from(sorted(SHAPES)), st.integers(min_value=4, max_value=9))
def test_every_drawn_cut_drops_something_between_known_nodes(seed: int, shape: str, count: int) -> None:
    nodes = tuple(f"n{i}" for i in range(count))
    grudge = draw_cut([shape], nodes, seed).grudge
    assert grudge
    for node, refused in grudge.items():
        assert node in nodes
        assert refused
        assert node not in refused
        assert set(refused) <= set(nodes)


def test_shapes_that_so_few_nodes_cannot_form_are_not_drawn() -> None:
    two = ("n1", "n2")
    assert fault("partition", two)
    with pytest.raises(ValueError, match=r"^partition:bridge needs at least 3 nodes, not 2$"):
        fault("partition:bridge", two)
    with pytest.raises(ValueError, match=r"^partition needs at least 2 nodes, not 1$"):
        fault("partition", ("n1",))


@given(seeds)
def test_a_clock_jumps_by_4_ms_to_4_minutes(seed: int) -> None:
    assert 4 <= abs(draw_offset_ms(seed)) < 2**18
    assert draw_offset_ms(seed) == draw_offset_ms(seed)


def test_clocks_jump_both_ways_over_all_magnitudes() -> None:
    offsets = [draw_offset_ms(seed) for seed in range(2000)]
    assert 0.45 < sum(offset > 0 for offset in offsets) / 2000 < 0.55
    by_power = [sum(abs(offset).bit_length() - 1 == power for offset in offsets) for power in range(2, 18)]
    assert sum(by_power) == 2000
    assert min(by_power) > 80
    (bump,) = injections("clock:majority", 1)
    assert len(set(bump.value["offsets_ms"].values())) == 3


def test_an_operation_goes_to_the_fault_that_has_it() -> None:
    cluster = Recording()
    for f, value in [
        ("kill", {"target": "one", "nodes": ["n1"]}),
        ("heal-partition", None),
        ("clock-bump", {"target": "one", "offsets_ms": {"n2": -8}}),
        ("partition", {"shape": "one-way", "grudge": {"n1": ["n2", "n3"]}}),
    ]:
        invoke(nemesis_op(f, value), cluster)
    assert cluster.told == [
        ("kill", ("n1",)),
        ("heal", None),
        ("bump", {"n2": -8}),
        ("cut", {"n1": frozenset({"n2", "n3"})}),
    ]


class Failing(Recording):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _tell(self, what: str, argument: Any) -> Evidence:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ClusterError("node n1 did not start: port in use"), "node n1 did not start: port in use"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
    ],
)
def test_whatever_a_cluster_raises_the_completion_says_it_and_keeps_the_choice(
    error: Exception, said: str
) -> None:
    value = {"target": "one", "nodes": ["n1"]}
    completion = invoke(nemesis_op("kill", value), Failing(error))
    assert (completion.type, completion.error, completion.value) == ("info", said, value)


@pytest.mark.parametrize(
    ("f", "value"), [("kill", {"nodes": 3}), ("kill", None), ("partition", {"shape": "x"}), ("typhoon", None)]
)
def test_a_recorded_operation_that_makes_no_sense_is_an_error_of_its_completion(
    f: str, value: object
) -> None:
    cluster = Recording()
    completion = invoke(nemesis_op(f, value), cluster)
    assert completion.type == "info"
    assert completion.error
    assert cluster.told == []


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (
            ["tornado"],
            "the fault 'tornado' is unknown; there are partition, clients, packets, ",
        ),
        (["kill", "kill:one"], "the fault kill is asked for twice"),
        (
            ["partition:thirds"],
            "partition:thirds: the shape must be one of halves, one, third, majorities-ring, bridge, ",
        ),
        (
            ["pause:"],
            "pause:: must be one, minority, majority, all, or nodes joined by '+', of n1, n2, n3, n4, n5",
        ),
        (["partition:isolate@n9"], "partition:isolate@n9: must be one, minority, majority, all, or nodes"),
        (["membership:wipe@n9"], "membership:wipe@n9: must be one, minority, majority, all, or nodes"),
        (["membership:join@n1"], "membership:join@n1: a join has no target, as it is always a spare"),
    ],
)
def test_a_fault_that_there_is_not_is_refused_in_one_sentence(specs: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_faults(specs, FIVE)
