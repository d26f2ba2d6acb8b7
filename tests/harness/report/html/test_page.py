"""The page as text: complete in itself, and closed to whatever a history would smuggle in."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from checkers.convergence import Convergence
from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.plan import Plan
from harness.report.html import page
from harness.report.plots import plots
from harness.report.summary import RunSummary
from harness.sightings import Sighting
from tests.support.sample_run import ENTRIES, EXPLANATION, WRONG, WRONG_HISTORY, history, told, valid_verdict

HOSTILE = "\x00</script><script>alert('owned')</script><img src=x onerror=alert(1)>\"' & \u2028\u202e"
VOID = {"meta", "input", "img", "br", "link", "hr"}


def summary(**changes: object) -> RunSummary:
    run = RunSummary(Plan(), history(20, 50), valid_verdict(), ENTRIES, "ab" * 32, Path("runs/register/now"))
    return replace(run, **changes)  # type: ignore[arg-type]


def wrong_run() -> RunSummary:
    details = {"operations": WRONG, "explanation": EXPLANATION, "key": "r12", "blocked_at": 6}
    linear = Verdict("linearizable", Status.INVALID, "key r12: no", {**details, "model": "cas-register"})
    other = Verdict("sessions", Status.INVALID, "a session went back", details)
    verdict = Verdict("run", Status.INVALID, "no", parts=(linear, other))
    return summary(history=WRONG_HISTORY, verdict=verdict)


def hostile_run() -> RunSummary:
    events = [
        Op(0, 1_000, 0, "invoke", HOSTILE, HOSTILE, HOSTILE),
        Op(1, 9_000_000, 0, "info", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        Op(2, 10_000_000, 1, "invoke", "write", HOSTILE, {HOSTILE: [HOSTILE]}),
        Op(3, 20_000_000, 1, "ok", "write", HOSTILE, {HOSTILE: [HOSTILE]}),
    ]
    details = {
        "operations": [{**told(1, HOSTILE, HOSTILE, "ok", (0, 1), (0, 9)), "key": HOSTILE}],
        "explanation": [HOSTILE],
        "key": HOSTILE,
        "blocked_at": 1,
    }
    parts = (
        Verdict(HOSTILE, Status.INVALID, HOSTILE, details),
        Verdict("linearizable", Status.INVALID, HOSTILE, {**details, "model": "register"}),
    )
    return summary(
        plan=Plan(argv=(HOSTILE,), versions={HOSTILE: HOSTILE}, lab=HOSTILE),
        history=events,
        verdict=Verdict(HOSTILE, Status.INVALID, HOSTILE, details, parts),
        entries=[Entry(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, 0.0, 0.001, True, HOSTILE, error=HOSTILE)],
        failures=[HOSTILE],
        notes=[HOSTILE],
        run_dir=Path("runs") / HOSTILE.replace("/", "_"),
    )


class Reader(HTMLParser):
    """The elements, with what is wrong with their nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("run", [summary(), wrong_run(), hostile_run(), summary(history=[], entries=())])
def test_the_page_is_well_formed_and_asks_nobody_for_anything(run: RunSummary) -> None:
    text = page(run)
    read = Reader(text)
    assert (read.open, read.wrong) == ([], [])
    for name, attributes in read.elements:
        assert name not in ("link", "iframe", "object", "embed", "base")
        assert not any(each.startswith("on") or each == "style" for each in attributes)
        assert (attributes.get("src") or "data:").startswith("data:image/svg+xml;base64,") or name != "img"
        assert attributes.get("href") is None


@pytest.mark.parametrize("run", [summary(), hostile_run()])
def test_only_the_style_and_the_script_of_the_page_are_allowed(run: RunSummary) -> None:
    text = page(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    for name in ("style", "script"):
        (own,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        assert "sha256-" + b64encode(sha256(own.encode()).digest()).decode() in policy[1]


def test_what_a_history_says_is_text_wherever_it_stands() -> None:
    text = page(hostile_run(), [Sighting(0.001, HOSTILE, "up", 1.0, 0.1, {HOSTILE: HOSTILE})])
    assert "<script>alert" not in text
    assert "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", text)
    assert "\u202e" not in text
    assert sum(name == "script" for name, _ in Reader(text).elements) == 2


def test_the_verdict_and_why_need_no_script() -> None:
    text = page(wrong_run())
    assert '<span class="verdict">invalid</span>' in text
    assert "process 7 read 17" in text
    assert text.count('class="counterexample"') == 2
    assert "data:image/svg+xml;base64," in text
    assert 'data-events="0,1,3,5"' in text


def test_copies_that_differ_in_the_end_are_drawn() -> None:
    def verdict(keeps: bool, copies: dict[str, int | None]) -> Verdict:
        events = [
            Op(0, 1_000, 0, "invoke", "write", "k", 1),
            Op(1, 2_000, 0, "ok", "write", "k", 1),
            Op(2, 3_000, 1, "invoke", "write", "k", 2),
            Op(3, 4_000, 1, "ok", "write", "k", 2),
            Op(4, 5_000, 2, "invoke", "copies", "k"),
            Op(5, 6_000, 2, "ok", "copies", "k", copies),
        ]
        return Convergence(keeps).check(events)

    def bars(found: Verdict) -> list[str]:
        text = page(summary(verdict=found))
        return re.findall(r"<tr[^>]*><td>(.*?)</td><td>(.*?)</td>", unescape(text))

    writes = [("0", "write 1"), ("1", "write 2")]
    differ = [*writes, ("2", "copies {'n1': 1, 'n2': 2}")]
    assert bars(verdict(True, {"n1": 1, "n2": 2})) == differ
    older = [*writes, ("2", "copies {'n1': 1, 'n2': 1}")]
    assert bars(verdict(True, {"n1": 1, "n2": 1})) == older
    assert bars(verdict(False, {"n1": 1, "n2": 1})) == []
    assert len(bars(verdict(True, {"n1": 9, "n2": 9}))) == 1


def test_what_there_is_much_of_is_folded_away() -> None:
    def article(explanation: list[str], operations: int) -> str:
        rows = [
            told(1, "read", number, "ok", (2 * number, 2 * number + 1), (0, 9))
            for number in range(operations)
        ]
        details = {"operations": rows, "explanation": explanation}
        return page(summary(verdict=Verdict("sessions", Status.INVALID, "no", details)))

    short = article(["it is wrong", "  first", "  then"], 3)
    assert "<p>It is wrong.</p>" in short
    assert "<li>first</li><li>then</li>" in short
    assert "steps</summary>" not in short
    long = article(["it is wrong", *(f"step {number}" for number in range(40))], 250)
    assert "<details><summary>in 40 steps</summary>" in long
    assert "and 150 earlier ones" in long
    assert long.count('class="bar"') == 100
    assert "<td>read = 249</td>" in long


def test_one_of_a_kind_has_no_plural() -> None:
    text = page(summary(plan=Plan(nodes=("n1",), replication=1, concurrency=1)))
    assert "sim, 1 node, " in text
    assert ", 1 client<" in text


def test_a_run_that_failed_says_so_first() -> None:
    text = page(summary(failures=["n1 ended by itself"]))
    assert '<span class="verdict">failed</span>' in text
    assert "N1 ended by itself" in text


def test_the_ledger_says_what_was_intended_applied_and_healed() -> None:
    text = page(summary())
    assert "<td>10.000</td><td>10.000</td>" in text
    assert '<td class="bad">never</td>' in text
    assert '<td class="bit failed">failed</td>' in text
    assert "12 links cut; 341 messages dropped" in text


def test_the_command_to_run_it_again_is_there() -> None:
    text = page(summary())
    assert "<code>harness run --seed 0</code>" in text
    assert "the same history, byte for byte" in text
    real = page(summary(plan=Plan(cluster="local")))
    assert "byte for byte" not in real
    assert "the same plan" in real


def test_a_history_without_times_has_a_page_without_a_timeline() -> None:
    untimed = [Op(0, -1, 0, "invoke", "read", "k"), Op(1, -1, 0, "ok", "read", "k")]
    text = page(summary(history=untimed, entries=()))
    assert "No times were recorded" in text
    assert 'id="data"' not in text


def test_the_plots_are_pictures_that_stand_alone() -> None:
    seen = [Sighting(at, node, "up", ms) for at in (1.0, 2.0) for node, ms in (("n1", 0.0), (HOSTILE, -9e3))]
    made = plots(summary(), seen)
    assert set(made) == {"latency.svg", "rate.svg", "clocks.svg"}
    for text in [*made.values(), *plots(hostile_run(), seen).values()]:
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "<script" not in text
        assert "url(" not in text
        assert text.count("http") == 1


def test_the_plots_shade_where_faults_were_and_no_more_than_can_be_looked_through() -> None:
    def shades(*spans: tuple[float | None, float | None]) -> list[tuple[int, int, float, str]]:
        entries = [Entry(f"f{n}", "f", None, 1.0, *((at, True, "", to))) for n, (at, to) in enumerate(spans)]
        drawn = ElementTree.fromstring(plots(summary(entries=entries))["rate.svg"])
        found = [each for each in drawn if each.get("class") == "shade"]
        return [
            (
                int(each.get("x", "")),
                int(each.get("width", "")),
                float(each.get("opacity", "")),
                str(each[0].text),
            )
            for each in found
        ]

    assert shades((None, None)) == []
    (whole,) = shades((0.0, None))
    assert whole == (78, 906, 0.08, "f0")
    first, both, last = shades((0.0, 10.0), (5.0, 15.0))
    assert (first[3], both[3], last[3]) == ("f0", "f0, f1", "f1")
    assert (first[2], both[2]) == (0.08, 0.16)
    assert first[0] + first[1] == both[0]
    (dense,) = shades(*[(1.0, 2.0)] * 12)
    assert dense[2] == 0.32
    (instant,) = shades((5.0, 5.0))
    assert instant[1] == 1


def test_small_offsets_have_figures() -> None:
    seen = [Sighting(at, "n1", "up", at / 10) for at in (1.0, 2.0)]
    labels = [
        each.text for each in ElementTree.fromstring(plots(summary(), seen)["clocks.svg"]).iter() if each.text
    ]
    assert {"+1 ms", "0", "−1 ms"} <= set(labels)


def test_the_plots_say_what_the_history_says() -> None:
    def drawn(text: str, name: str) -> list[ElementTree.Element]:
        return list(ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}" + name))

    def heights(line: ElementTree.Element) -> list[float]:
        return [float(point.split(",")[1]) for point in line.get("points", "").split()]

    seen = [Sighting(1.0, "n1", "up", 50.0), Sighting(2.0, "n1", "up", -50.0)]
    made = plots(summary(), seen)
    p99, p50 = map(heights, drawn(made["latency.svg"], "polyline"))
    assert all(above <= below for above, below in zip(p99, p50, strict=True))
    assert p99 != p50
    clock = heights(*drawn(made["clocks.svg"], "polyline"))
    assert clock[0] < 166 < clock[-1]
    bars: dict[str, dict[str, tuple[float, float]]] = {}
    for bar in drawn(made["rate.svg"], "rect"):
        if bar.get("fill") in ("var(--ok)", "var(--fail)") and bar.get("y") != "12":
            top, tall = float(bar.get("y", "")), float(bar.get("height", ""))
            bars.setdefault(bar.get("x", ""), {})[bar.get("fill", "")] = (top, top + tall)
    both = [each for each in bars.values() if len(each) == 2]
    assert both
    for each in both:
        assert each["var(--fail)"][1] == pytest.approx(each["var(--ok)"][0], abs=0.11)


def test_a_run_without_times_or_sightings_has_no_such_plots() -> None:
    assert set(plots(summary())) == {"latency.svg", "rate.svg"}
    assert plots(summary(history=[])) == {}


def test_the_page_of_a_short_run_is_small() -> None:
    assert len(page(summary(history=history(20, 50)))) < 150_000


def test_the_latencies_of_many_operations_make_a_small_picture() -> None:
    assert len(plots(summary(history=history(60, 1000)))["latency.svg"]) < 2_000_000
