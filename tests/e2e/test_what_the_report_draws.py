"""What the report draws is what the history says: read back from its pixels, its strokes and its tips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from checkers.history import Op, Type
from harness.ledger import Entry
from harness.report.html import page
from harness.sightings import Sighting
from tests.e2e.test_report_in_a_browser import DRAWN, box, painted, show, text
from tests.harness.report.html.test_page import summary
from tests.support.browser import Browser, program

pytestmark = pytest.mark.skipif(program() is None, reason="needs chromium")

MS = 1_000_000
S = 1000 * MS
LANES, RATE = 2, 3
"""Tracks, by number, of a run with faults."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1280, 1400) as opened:
        yield opened


def operation(at: int, took: int, process: int, outcome: Type) -> list[Op]:
    return [Op(-1, at, process, "invoke", "read", "k"), Op(-1, at + took, process, outcome, "read", "k", 1)]


def run_of(operations: Sequence[list[Op]], entries: Sequence[Entry]) -> Any:
    events = sorted((event for each in operations for event in each), key=lambda event: event.time)
    return summary(history=events, entries=entries)


def curves(browser: Browser, colours: Sequence[str]) -> dict[str, list[float]]:
    """The heights to which lines of these colours were drawn in the next frame."""
    found: dict[str, list[float]] = browser.run(
        f"""(async () => {{ const kind = CanvasRenderingContext2D.prototype;
        const line = kind.lineTo;
        const names = {json.dumps(list(colours))};
        const style = getComputedStyle(document.body);
        const found = Object.fromEntries(names.map((name) => [name, []]));
        kind.lineTo = function (x, y) {{
          for (const name of names) {{
            if (this.strokeStyle === style.getPropertyValue(`--${{name}}`).trim()) found[name].push(y);
          }}
          line.call(this, x, y); }};
        document.querySelector("#all").click();
        await {DRAWN};
        kind.lineTo = line;
        return found; }})()"""
    )
    return found


def test_the_worst_of_a_pixel_shows(browser: Browser, tmp_path: Path) -> None:
    operations = [operation(number * 10 * MS, 8 * MS, 0, "ok") for number in range(5000)]
    entries = [Entry("kill", "kill", None, 1.0, 1.0, True, "", 2.0)]
    show(browser, tmp_path, page(run_of(operations, entries)))
    assert painted(browser, LANES, "info") == 0
    operations.insert(0, operation(20 * S + 9 * MS, MS // 2, 10, "info"))
    show(browser, tmp_path, page(run_of(operations, entries)))
    assert 10 < painted(browser, LANES, "info") < 100


def test_a_fault_that_was_not_seen_to_bite_is_not_filled(browser: Browser, tmp_path: Path) -> None:
    found = {}
    for observed in (True, False, None):
        entries = [Entry("kill", "kill", None, 1.0, 1.0, observed, "", 19.0)]
        show(browser, tmp_path, page(summary(entries=entries)))
        found[observed] = painted(browser, 1, "shade")
    assert found[True] > 5000
    assert 0 <= found[False] == found[None] < 2000


def test_a_burst_does_not_hide_the_rest_of_the_run_in_the_overview(browser: Browser, tmp_path: Path) -> None:
    operations = [operation(number * 100 * MS, MS, number, "ok") for number in range(200)]
    operations += [operation(20 * S, MS, 200 + number, "ok") for number in range(100)]
    show(browser, tmp_path, page(run_of(operations, [])))
    assert painted(browser, 0, "ok") > 500


def test_rates_are_told_by_outcome(browser: Browser, tmp_path: Path) -> None:
    ends: list[Type] = ["ok"] * 4 + ["fail"] * 2 + ["info"]
    operations = [operation(10 * S + n * MS, 50 * MS, n, outcome) for n, outcome in enumerate(ends)]
    operations.append(operation(0, 20 * S, 9, "ok"))
    show(browser, tmp_path, page(run_of(operations, [])))
    rate = box(browser, ".track:nth-child(3) canvas")
    browser.mouse("mouseMoved", rate["x"] + 92 + (rate["width"] - 102) * 10.1 / 20, rate["y"] + 40)
    browser.until("!document.getElementById('tip').hidden")
    told = browser.run("[...document.querySelectorAll('#tip div')].map((e) => e.textContent)")
    assert told == ["10.0 to 10.2 s", "ok 20/s", "fail 10/s", "info 5/s"]


def test_the_99th_percentile_is_above_the_median(browser: Browser, tmp_path: Path) -> None:
    operations = [operation(n * MS, MS if n % 50 else 400 * MS, n, "ok") for n in range(100)]
    operations.append(operation(S, 99 * S, 100, "fail"))
    show(browser, tmp_path, page(run_of(operations, [])))
    box(browser, ".track:nth-child(4) canvas")
    found = curves(browser, ["p50", "p99"])
    assert len(found["p50"]) == len(found["p99"]) == 1
    assert found["p50"][0] - found["p99"][0] > 60


def test_what_was_seen_of_a_node_holds_until_the_next_look(browser: Browser, tmp_path: Path) -> None:
    members = {"n1": "alive", "n2": "dead"}
    seen = [Sighting(0.0, "n1", "down"), Sighting(10.0, "n1", "up", 5.0, 0.0, members)]
    seen.append(Sighting(20.0, "n1", "up", -5.0, 0.0, members))
    show(browser, tmp_path, page(summary(entries=()), seen))
    members_at = box(browser, ".track:nth-child(6) canvas")
    browser.run(DRAWN)
    half = (members_at["width"] - 102) / 2
    assert painted(browser, 5, "away") == pytest.approx(half * 7, rel=0.02)
    assert painted(browser, 5, "dead") == pytest.approx(half * 4, rel=0.02)
    (clock,) = curves(browser, ["s0"]).values()
    assert clock[0] < 75 < clock[-1]
    assert "right" not in text(browser, ".track:nth-child(5) h3")
