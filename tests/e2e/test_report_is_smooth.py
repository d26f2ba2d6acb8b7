"""A report of 100,000 operations keeps up with whoever zooms, moves and scrolls: frames are counted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.report.html import page
from tests.e2e.test_report_in_a_browser import box, choose, enter, show, sightings, text
from tests.harness.report.html.test_page import summary
from tests.support.browser import Browser, program
from tests.support.many import many

pytestmark = pytest.mark.skipif(program() is None, reason="needs chromium")

COUNT = 100_000
FRAMES_PER_CPU_S_MIN = 30
"""Of the page's own thread, which a busy machine changes little. By the clock is printed beside it."""
FRAMES = 60
WHEEL = """canvas.dispatchEvent(new WheelEvent("wheel", { clientX: box.left + 500, clientY: box.top + 40,
  ctrlKey: true, bubbles: true, cancelable: true, ...turn }));"""
GESTURES = {
    "zooming in and out": "const turn = { deltaY: n % 60 < 30 ? -12 : 12 };" + WHEEL,
    "zooming to microseconds": "const turn = { deltaY: n < 45 ? -60 : 60 };" + WHEEL,
    "panning": "const turn = { deltaX: n % 40 < 20 ? 30 : -30 };" + WHEEL,
    "scrolling the page": "window.scrollTo(0, 40 * (n % 60 < 30 ? n % 60 : 60 - (n % 60)));",
    "scrolling the lanes": 'document.querySelector(".lanes .holder").scrollTop = (n % 30) * 40;',
}
MOVED = """new Promise((done) => {
  const canvas = document.querySelector(".lanes canvas");
  const box = canvas.getBoundingClientRect();
  let n = 0;
  const began = performance.now();
  const frame = () => {
    if (n === %d) done((performance.now() - began) / 1000);
    else requestAnimationFrame(frame);
    %s
    n++;
  };
  requestAnimationFrame(frame);
})"""


def cpu_s(browser: Browser) -> float:
    metrics = browser.ask("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@cache
def report() -> str:
    return page(summary(history=many(COUNT), entries=summary().entries), sightings())


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scale"), [(1280, 1), (2000, 2)])
def test_a_hundred_thousand_operations_are_smooth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], width: int, scale: int
) -> None:
    with Browser() as browser:
        show(browser, tmp_path, report())
        drawn_s = browser.run("performance.now()") / 1000
        browser.resize(width, 900, scale)
        assert text(browser, "#count") == "100,000 operations"
        choose(browser, "lanes-by", "process")
        browser.ask("Performance.enable", timeDomain="threadTicks")
        measured = []
        for name, gesture in GESTURES.items():
            box(browser, ".lanes canvas")
            before_s = cpu_s(browser)
            took_s = browser.run(MOVED % (FRAMES, gesture))
            measured.append((name, FRAMES / took_s, FRAMES / (cpu_s(browser) - before_s)))
        with capsys.disabled():
            print(f"\n{COUNT:,} operations at {width} pixels, scale {scale}: drawn after {drawn_s:.1f} s")
            for name, frames_per_s, frames_per_cpu_s in measured:
                print(f"{name:>24}: {frames_per_s:3.0f} frames/s, {frames_per_cpu_s:4.0f} a processor second")
        assert all(frames_per_cpu_s >= FRAMES_PER_CPU_S_MIN for *_, frames_per_cpu_s in measured), measured
        enter(browser, "text", "r17")
        browser.until("/^[\\d,]+ of 100,000/.test(document.getElementById('count').textContent)")
        assert browser.errors == []
