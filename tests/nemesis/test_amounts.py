"""Amounts that are asked for: what an operation says of them, and what is refused."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from checkers.history import Op
from harness import catalog
from harness.ledger import ledger
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.stop import StopWish
from nemesis.amounts import Amount, Measure, split_amount
from nemesis.compose import AMOUNTS, parse_faults
from nemesis.targets import SIZES, ByRoles, draw_injection
from tests.nemesis.test_faults import FIVE, Recording, invoke

YEAR_MS = 365 * 24 * 60 * 60 * 1000
seeds = st.integers(min_value=0, max_value=2**64 - 1)
sizes = st.sampled_from(sorted(SIZES))
delays_ms = st.integers(1, 2000)
fractions = st.decimals("0.001", "1", places=3).map(float)
jumps_ms = st.integers(-YEAR_MS, YEAR_MS).filter(bool)


def drawn(spec: str, target: str, seed: int) -> Op:
    (fault,) = parse_faults([spec], FIVE)
    assert isinstance(fault, ByRoles)
    name, _, choice = spec.partition(":")
    kind = re.split("[=@]", choice)[0]
    f = {
        "clock": "clock-bump",
        "stress": f"stress-{kind}",
        "restart": f"restart-{kind}",
    }.get(name, name)
    return draw_injection(fault, f, (target,), FIVE, seed)


def asked_and_drawn(kind: str, amount: str, target: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The value of the operation that `KIND=AMOUNT@TARGET` gives, and of the one without an amount."""
    asked = drawn(f"{kind}={amount}@{target}", target, seed)
    return asked.value, drawn(f"{kind}@{target}", target, seed).value


@given(delays_ms, st.floats(0, 1), sizes, seeds)
def test_packets_are_as_late_as_was_asked(delay_ms: int, part: float, target: str, seed: int) -> None:
    deviation_ms = round(part * delay_ms)
    asked, other = asked_and_drawn("packets:delay", f"{delay_ms}/{deviation_ms}", target, seed)
    expected = {"delay_ms": delay_ms} | ({"jitter_ms": deviation_ms} if deviation_ms else {})
    assert asked == other | {"behaviour": expected}
    asked, _ = asked_and_drawn("packets:delay", str(delay_ms), target, seed)
    assert asked["behaviour"] == {"delay_ms": delay_ms, "jitter_ms": delay_ms / 5}


@given(st.sampled_from(["loss", "duplicate", "corrupt"]), fractions, sizes, seeds)
def test_of_packets_that_fraction_suffers_that_was_asked(
    kind: str, fraction: float, target: str, seed: int
) -> None:
    asked, other = asked_and_drawn(f"packets:{kind}", str(fraction), target, seed)
    assert asked == other | {"behaviour": {kind: fraction}}


@given(st.decimals("0.001", "0.4", places=3).map(float), delays_ms, sizes, seeds)
def test_of_what_overtakes_the_fraction_is_asked_and_the_delay_may_be(
    fraction: float, delay_ms: int, target: str, seed: int
) -> None:
    asked, other = asked_and_drawn("packets:reorder", f"{fraction}/{delay_ms}", target, seed)
    assert asked == other | {"behaviour": {"delay_ms": delay_ms, "reorder": fraction}}
    asked, _ = asked_and_drawn("packets:reorder", str(fraction), target, seed)
    assert asked == other | {"behaviour": {**other["behaviour"], "reorder": fraction}}


@given(st.integers(100, 10_000), fractions, st.integers(1, 20), sizes, seeds)
def test_rates_memory_and_rounds_are_as_asked(
    rate_kbit: int, fraction: float, rounds: int, target: str, seed: int
) -> None:
    asked, other = asked_and_drawn("packets:rate", str(rate_kbit), target, seed)
    assert asked == other | {"behaviour": {"rate_kbit": rate_kbit}}
    asked, other = asked_and_drawn("stress:memory", str(fraction), target, seed)
    assert asked == other | {"fraction": fraction}
    asked, other = asked_and_drawn("restart:storm", str(rounds), target, seed)
    assert {"rounds": 3} | asked == other | {"rounds": rounds}


@given(jumps_ms, st.integers(1, 10_000), st.integers(-100_000, 100_000).filter(bool), sizes, seeds)
def test_clocks_of_all_that_are_struck_do_what_was_asked(
    jump_ms: int, period_ms: int, rate_ppm: int, target: str, seed: int
) -> None:
    for spec, parts in (
        (f"clock:{target}={jump_ms:+}", {"offsets_ms": jump_ms}),
        (f"strobe:{target}={jump_ms}/{period_ms}", {"deltas_ms": jump_ms, "period_ms": period_ms}),
        (f"drift:{target}={rate_ppm:+}", {"rates_ppm": rate_ppm}),
    ):
        asked, other = drawn(spec, target, seed).value, drawn(spec.partition("=")[0], target, seed).value
        assert asked.keys() == other.keys()
        for name, amount in parts.items():
            struck = other[name]
            assert asked[name] == (dict.fromkeys(struck, amount) if isinstance(struck, dict) else amount)


@pytest.mark.parametrize(
    ("spec", "amounts"),
    [
        ("packets:delay@minority", {"kind": "delay", "behaviour": {"delay_ms": 200, "jitter_ms": 40}}),
        ("packets:loss@minority", {"kind": "loss", "behaviour": {"loss": 0.4}}),
        ("packets:reorder@minority", {"kind": "reorder", "behaviour": {"delay_ms": 100, "reorder": 0.1}}),
        ("packets:rate@minority", {"kind": "rate", "behaviour": {"rate_kbit": 4000}}),
        ("stress:memory@minority", {"fraction": 0.9}),
        ("restart:storm@minority", {}),
        ("clock:minority", {"offsets_ms": {"n1": 604, "n2": 147}}),
        ("strobe:minority", {"deltas_ms": {"n1": 604, "n2": 147}, "period_ms": 425}),
        ("drift:minority", {"rates_ppm": {"n1": 640, "n2": 160}}),
    ],
)
def test_what_a_seed_draws_stays_what_it_was(spec: str, amounts: dict[str, Any]) -> None:
    named = {} if spec.endswith(":minority") else {"nodes": ["n1", "n2"]}
    assert drawn(spec, "minority", 7).value == {"target": "minority"} | named | amounts


def test_whoever_has_a_role_gets_what_was_asked_and_the_cluster_is_told() -> None:
    class Telling(Recording):
        role_names = ("steward",)

        async def roles(self) -> dict[str, tuple[str, ...]]:
            return {"steward": ("n4",)}

    cluster = Telling()
    done = invoke(drawn("clock:steward=-7", "steward", 3), cluster, ("clock:steward=-7",))
    assert cluster.told == [("bump", {"n4": -7})]
    assert done.value["offsets_ms"] == {"n4": -7}


def test_a_storm_has_as_many_rounds_as_its_operation_says() -> None:
    class Up(Recording):
        def states(self) -> dict[str, str]:
            return dict.fromkeys(FIVE, "up")

    for spec, rounds in (("restart:storm=5@n2", 5), ("restart:storm@n2", 3)):
        cluster = Up()
        invoke(drawn(spec, "n2", 1), cluster)
        assert cluster.told == [("kill", ("n2",)), ("start", ("n2",))] * rounds


@pytest.mark.parametrize(
    ("choice", "without", "amount"),
    [
        (None, None, None),
        ("loss", "loss", None),
        ("loss@n1+n3", "loss@n1+n3", None),
        ("loss=0.3", "loss", "0.3"),
        ("loss=0.3@n1+n3", "loss@n1+n3", "0.3"),
        ("one=+5000", "one", "+5000"),
        ("one=", "one", ""),
        ("loss=@n1", "loss@n1", ""),
        ("=5", "", "5"),
        ("loss@n1=0.3", "loss@n1=0.3", None),
        ("loss=0.3@", "loss@", "0.3"),
        ("one=5=6", "one", "5=6"),
    ],
)
def test_where_an_amount_stands(choice: str | None, without: str | None, amount: str | None) -> None:
    assert split_amount(choice) == (without, amount)


def test_a_run_has_what_was_asked_for_in_its_ledger(tmp_path: Path) -> None:
    asked = ("packets:loss=1@n1", "clock:one=+5000")
    plan = Plan(faults=asked, time_limit_s=5, fault_interval_s=2, rate=20, seed=1)
    pieces, run_dir = catalog.assemble(plan), RunDir(tmp_path)
    live = Live(Console(file=StringIO()), plan, quiet=True)
    recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, StopWish())
    run_dir.write_faults(ledger(recorded.history, pieces.requested))
    entries = json.loads((tmp_path / "faults.json").read_text())
    assert all(entry["observed"] for entry in entries)
    told = {entry["fault"]: entry["value"] for entry in entries}
    assert (told["packets"]["nodes"], told["packets"]["behaviour"]) == (["n1"], {"loss": 1})
    assert list(told["clock"]["offsets_ms"].values()) == [5000]


FRACTION = "a FRACTION from 0.001 to 1"
JUMP = f"a nonzero whole JUMP_MS from -{YEAR_MS} to {YEAR_MS}"
DELAY = "a whole DELAY_MS from 1 to 2000 and a whole DEVIATION_MS from 0 to 2000"


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        *(
            (f"packets:loss={text}", FRACTION)
            for text in ("2", "abc", "nan", "inf", "", "-0.1", "0", "0.0001")
        ),
        *((f"packets:loss={text}", FRACTION) for text in ("30%", "1e-1", "0.1/0.2", "1_0", "0." + 16 * "1")),
        *((f"packets:delay={text}", DELAY) for text in ("-3", "0", "2001", "80/", "/20", "80/-1", "1/2/3")),
        ("packets:delay=1.5", DELAY),
        ("packets:reorder=0.5", "a FRACTION from 0.001 to 0.4 and a whole DELAY_MS from 1 to 2000"),
        ("packets:rate=99", "a whole RATE_KBIT from 100 to 10000"),
        ("stress:memory=1.01", FRACTION),
        *((f"clock:one={text}", JUMP) for text in ("", "0", "1e400", "nan", "5s", "+", f"{YEAR_MS + 1}")),
        ("clock:one=" + 5000 * "9", JUMP),
        *((f"strobe:one={text}", JUMP) for text in ("500", "500/", "500/0", "0/100", "500/10001")),
        ("drift:all=200000", "a nonzero whole RATE_PPM from -100000 to 100000"),
        ("drift:all=-100001", "a nonzero whole RATE_PPM from -100000 to 100000"),
        ("restart:storm=0", "a whole ROUNDS from 1 to 20"),
    ],
)
def test_an_amount_that_cannot_be_is_refused_with_what_can(spec: str, allowed: str) -> None:
    place = spec.partition("=")[0]
    with pytest.raises(ValueError, match=rf"^{re.escape(f'{spec}: must be {place}=')}\S+, with .*{allowed}"):
        parse_faults([spec], FIVE)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("packets:delay=10/11", "packets:delay=10/11: the deviation is more than the delay"),
        ("stress:cpu=2", "stress:cpu=2: stress:cpu has no amount that could be chosen"),
        ("restart:rolling=2@all", "restart:rolling=2: restart:rolling has no amount that could be chosen"),
        (
            "packets:lag=3",
            "packets:lag: must be delay, loss, duplicate, reorder, corrupt, rate, and after that =",
        ),
        ("packets:loss@n1=0.3", "packets:loss@n1=0.3: must be one, minority, majority, all, or nodes"),
        ("clock:n9=5", "clock:n9: must be one, minority, majority, all, or nodes"),
        ("clock:=5", "clock:: must be one, minority, majority, all, or nodes"),
        ("clock:one=5@n1", "clock:one@n1: must be one, minority, majority, all, or nodes"),
        ("kill:one=3", "kill:one=3: must be one, minority, majority, all, or nodes"),
        ("disk:slow=100", "disk:slow=100: must be full, slow, and after that @TARGET"),
    ],
)
def test_an_amount_of_something_else_is_refused(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        parse_faults([spec], FIVE)


def test_both_ends_of_each_range_can_be_asked_for() -> None:
    for place, amount in AMOUNTS.items():
        for text in (
            "/".join(str(m.least) for m in amount.measures),
            "/".join(str(m.most) for m in amount.measures),
        ):
            parse_faults([f"{place.replace('TARGET', 'all')}={text}"], FIVE)


def test_what_can_be_asked_for_is_told_in_one_form() -> None:
    parts = (Measure("A", 1, 2), Measure("B", -3, 3), Measure("C", 0.5, 1, whole=False))
    assert str(Amount(parts[:1])) == "=A, with a whole A from 1 to 2"
    assert Amount(parts, needed=2).form == "=A/B[/C]"
    assert str(parts[1]) == "a nonzero whole B from -3 to 3"
