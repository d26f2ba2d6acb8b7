"""The report as a reader uses it, in a browser that reaches nothing: zoom, filter, search and details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkers.verdict import Status, Verdict
from harness.report.html import page
from harness.sightings import Sighting
from tests.harness.report.html.test_page import HOSTILE, hostile_run, summary
from tests.support.browser import Browser, program
from tests.support.many import many
from tests.support.sample_run import WRONG

pytestmark = pytest.mark.skipif(program() is None, reason="needs chromium")

NODES = ("n1", "n2", "n3", "n4", "n5")
COUNT = 100_000
FRAMES_PER_CPU_S_MIN = 15
"""Of the page's own thread, as the machine may be busy; thirty and more is what is meant."""

FRAMES = """new Promise((done) => {
  const canvas = document.querySelector(".lanes canvas");
  const box = canvas.getBoundingClientRect();
  let frames = 0;
  const began = performance.now();
  const frame = () => {
    frames++;
    const zoom = { deltaY: frames % 60 < 30 ? -12 : 12 };
    const turn = frames % 3 ? zoom : { deltaX: frames % 40 < 20 ? 30 : -30 };
    const place = { clientX: box.left + 500, clientY: box.top + 40 };
    const wheel = { ...turn, ...place, ctrlKey: true, bubbles: true, cancelable: true };
    canvas.dispatchEvent(new WheelEvent("wheel", wheel));
    if (performance.now() - began > 2000) done([frames, frames / ((performance.now() - began) / 1000)]);
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def sightings(hostile: str = "n3") -> list[Sighting]:
    members = dict.fromkeys(NODES, "alive") | {hostile: "suspect"}
    return [
        Sighting(float(at), node, "up" if at % 7 else "down", at * 3.0, 0.5, members, 1)
        for at in range(0, 40, 2)
        for node in (*NODES, hostile)
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """With the report of 12 seconds of the sample run, one of whose operations is accused."""
    verdict = Verdict("run", Status.INVALID, "no", {"operations": WRONG[:1], "explanation": ["it is wrong"]})
    show(browser, tmp_path, page(summary(verdict=verdict), sightings()))
    yield browser
    assert browser.errors == []


def show(browser: Browser, folder: Path, text: str) -> None:
    path = folder / "report.html"
    path.write_text(text)
    browser.requests.clear()
    browser.errors.clear()
    browser.resize(1280, 900)
    browser.open(path)
    browser.until("document.documentElement.dataset.drawn === 'yes'")
    browser.until("document.querySelector('#list tbody button') !== null")


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def box(browser: Browser, selector: str) -> dict[str, float]:
    script = f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
      found.scrollIntoView({{ block: "center" }}); const box = found.getBoundingClientRect();
      return {{ x: box.left, y: box.top, width: box.width, height: box.height }}; }})()"""
    found: dict[str, float] = browser.run(script)
    return found


def cpu_s(browser: Browser) -> float:
    metrics = browser.ask("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def span_s(browser: Browser) -> tuple[float, float]:
    first, _, last = text(browser, "#span").split(" s")[0].partition(" to ")
    return float(first), float(last)


def enter(browser: Browser, field: str, value: Any) -> None:
    browser.run(
        f"""(() => {{ const field = document.getElementById({field!r}); field.value = {json.dumps(value)};
        field.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()"""
    )


def test_it_opens_with_no_request_but_its_own_and_no_complaint(opened: Browser) -> None:
    assert len(opened.requests) == 1
    assert opened.requests[0].startswith("file:")
    assert text(opened, "#count") == "1,000 operations"
    titles = opened.run("[...document.querySelectorAll('.track h3')].map((e) => e.firstChild.textContent)")
    assert titles == ["The whole run", "Faults", "Operations", "Rate", "Latency", "Clocks", "Membership"]


def test_a_drag_the_wheel_and_the_keys_zoom(opened: Browser) -> None:
    whole = span_s(opened)
    lanes = box(opened, ".lanes canvas")
    y = lanes["y"] + 30
    opened.drag(lanes["x"] + 300, lanes["x"] + 500, y)
    opened.until("!document.getElementById('span').textContent.startsWith('0.00')")
    dragged = span_s(opened)
    assert whole[0] < dragged[0] < dragged[1] < whole[1]
    opened.mouse("mouseWheel", lanes["x"] + 400, y, deltaX=0, deltaY=-100, modifiers=2)
    zoomed = span_s(opened)
    assert dragged[0] < zoomed[0] < zoomed[1] < dragged[1]
    opened.click(lanes["x"] + 110, y)
    for key in "-", "ArrowRight":
        opened.key(key)
    moved = span_s(opened)
    assert moved[1] - moved[0] > zoomed[1] - zoomed[0]
    assert moved[1] > zoomed[1]
    opened.key("0")
    assert span_s(opened) == whole


def test_the_wheel_alone_scrolls_the_page_until_somebody_clicked(opened: Browser) -> None:
    lanes = box(opened, ".lanes canvas")
    before = span_s(opened)
    opened.mouse("mouseWheel", lanes["x"] + 400, lanes["y"] + 30, deltaX=0, deltaY=-60)
    assert span_s(opened) == before


def test_filters_and_search_keep_what_they_name(opened: Browser) -> None:
    enter(opened, "f", "1")
    opened.until("document.getElementById('count').textContent === '250 of 1,000 operations'")
    enter(opened, "f", "")
    enter(opened, "process", "7, 8")
    opened.until("document.getElementById('count').textContent === '2 of 1,000 operations'")
    enter(opened, "process", "")
    enter(opened, "text", "R0")
    opened.until("document.getElementById('count').textContent === '1,000 operations'")
    enter(opened, "text", "nothing has this")
    opened.until("document.getElementById('count').textContent === '0 of 1,000 operations'")
    enter(opened, "text", "")
    opened.run("document.querySelector('.chip.ok input').click()")
    opened.until("/^[1-9]\\d* of 1,000/.test(document.getElementById('count').textContent)")
    opened.until(
        "[...document.querySelectorAll('#list td:nth-child(5)')].every((e) => e.textContent !== 'ok')"
    )


def test_a_click_on_a_bar_tells_of_the_operation(opened: Browser) -> None:
    opened.run("document.querySelector('#list tbody button').click()")
    assert "read" in text(opened, "#chosen h3")
    opened.run("[...document.querySelectorAll('#chosen button')][0].click()")
    lanes = box(opened, ".lanes canvas")
    opened.key("Escape")
    assert "Click an operation" in text(opened, "#chosen")
    middle = lanes["x"] + 92 + (lanes["width"] - 102) / 2
    opened.mouse("mouseMoved", middle, lanes["y"] + 12)
    opened.until("!document.getElementById('tip').hidden")
    assert "process 0: ok" in text(opened, "#tip")
    opened.click(middle, lanes["y"] + 12)
    assert "it happened" in text(opened, "#chosen")


def test_a_counterexample_and_a_fault_lead_into_the_timeline(opened: Browser) -> None:
    whole = span_s(opened)
    opened.run("document.querySelector('[data-events]').click()")
    assert "part of a counterexample" in text(opened, "#chosen")
    near = span_s(opened)
    assert near[1] - near[0] < (whole[1] - whole[0]) / 10
    opened.run("document.querySelector('[data-fault=\"0\"]').click()")
    assert span_s(opened)[0] < 10 < 19 < span_s(opened)[1]


def test_lanes_can_be_grouped_by_anything_that_operations_have(opened: Browser) -> None:
    for kind in ("process", "node", "key", "operation", "client"):
        opened.run(
            f"""(() => {{ const by = document.getElementById("lanes-by"); by.value = {kind!r};
            by.dispatchEvent(new Event("change")); }})()"""
        )
        opened.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_clocks_and_members_are_told_by_pointing(opened: Browser) -> None:
    tracks = "document.querySelectorAll('.track canvas')"
    for place, words in ((5, "n1: +"), (6, "suspect: n3")):
        opened.run(f"{tracks}[{place}].id = 'pointed{place}'")
        at = box(opened, f"#pointed{place}")
        opened.mouse("mouseMoved", at["x"] + 500, at["y"] + 20)
        opened.until(f"document.getElementById('tip').textContent.includes({words!r})")


def test_it_fits_a_phone(opened: Browser) -> None:
    opened.resize(390, 844, 2)
    opened.until("document.documentElement.scrollWidth <= 390")


def test_nothing_that_a_history_says_is_carried_out(browser: Browser, tmp_path: Path) -> None:
    seen = sightings(HOSTILE)
    show(browser, tmp_path, page(hostile_run(), seen))
    browser.run("document.querySelector('#list tbody button').click()")
    lanes = box(browser, ".lanes canvas")
    browser.mouse("mouseMoved", lanes["x"] + 700, lanes["y"] + 20)
    assert browser.run("document.querySelectorAll('script').length") == 2
    assert (
        browser.run("document.querySelectorAll('img:not(.counterexample img), body script + script').length")
        <= 1
    )
    assert "</script>" in text(browser, "#chosen")
    assert (len(browser.requests), browser.errors) == (1 + browser.run("document.images.length"), [])
    assert not [url for url in browser.requests if not url.startswith(("file:", "data:image/svg+xml"))]


@pytest.mark.slow
def test_a_hundred_thousand_operations_are_smooth(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(browser, tmp_path, page(summary(history=many(COUNT), entries=summary().entries), sightings()))
    drawn_s = browser.run("performance.now()") / 1000
    assert text(browser, "#count") == "100,000 operations"
    box(browser, ".lanes canvas")
    browser.ask("Performance.enable", timeDomain="threadTicks")
    before_s = cpu_s(browser)
    frames, frames_per_s = browser.run(FRAMES)
    frames_per_cpu_s = frames / (cpu_s(browser) - before_s)
    with capsys.disabled():
        print(
            f"\n{COUNT:,} operations: drawn after {drawn_s:.1f} s, {frames_per_s:.0f} frames/s, "
            f"{frames_per_cpu_s:.0f} for each second of the page's processor time"
        )
    assert frames_per_cpu_s >= FRAMES_PER_CPU_S_MIN
    enter(browser, "text", "r17")
    browser.until("/^[\\d,]+ of 100,000/.test(document.getElementById('count').textContent)")
    assert browser.errors == []
