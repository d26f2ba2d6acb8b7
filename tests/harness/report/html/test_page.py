"""The page as text: complete in itself, and closed to whatever a history would smuggle in."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.plan import Plan
from harness.report.html import page
from harness.report.plots import plots
from harness.report.summary import RunSummary
from harness.sightings import Sighting
from tests.support.sample_run import ENTRIES, EXPLANATION, WRONG, WRONG_HISTORY, history, told, valid_verdict

HOSTILE = "</script><script>alert('owned')</script><img src=x onerror=alert(1)>\"' & \u2028\u202e"
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
    assert "<code>harness run --seed 0</code>" in page(summary())


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


def test_a_run_without_times_or_sightings_has_no_such_plots() -> None:
    assert set(plots(summary())) == {"latency.svg", "rate.svg"}
    assert plots(summary(history=[])) == {}


def test_the_latencies_of_many_operations_make_a_small_picture() -> None:
    assert len(plots(summary(history=history(60, 1000)))["latency.svg"]) < 2_000_000
