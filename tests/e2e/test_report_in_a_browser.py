"""The report as a reader uses it, in a browser that reaches nothing: zoom, filter, search and details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness.ledger import Entry
from harness.report.html import page
from harness.sightings import Sighting
from tests.harness.report.html.test_page import HOSTILE, hostile_run, summary
from tests.support.browser import Browser, program
from tests.support.sample_run import WRONG

pytestmark = pytest.mark.skipif(program() is None, reason="needs chromium")

DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
NODES = ("n1", "n2", "n3", "n4", "n5")


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


def span_s(browser: Browser) -> tuple[float, float]:
    first, _, last = text(browser, "#span").split(" s")[0].partition(" to ")
    return float(first), float(last)


def choose(browser: Browser, field: str, value: str) -> None:
    browser.run(
        f"""(() => {{ const field = document.getElementById({field!r}); field.value = {json.dumps(value)};
        field.dispatchEvent(new Event("change")); }})()"""
    )


def painted(browser: Browser, track: int, colour: str) -> int:
    """How many pixels of a track have a colour of the page, by its name there, as it was last drawn."""
    found: int = browser.run(
        f"""(() => {{ const canvas = document.querySelectorAll(".track canvas")[{track}];
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const named = getComputedStyle(document.body).getPropertyValue("--{colour}").trim();
        const wanted = [1, 3, 5].map((i) => parseInt(named.slice(i, i + 2), 16));
        const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) if (wanted.every((part, k) => data[i + k] === part)) count++;
        return count; }})()"""
    )
    return found


def written(browser: Browser, act: str) -> list[str]:
    """What is written on the tracks in sight when they are drawn after `act`."""
    found: list[str] = browser.run(
        f"""(async () => {{ const kind = CanvasRenderingContext2D.prototype;
        const write = kind.fillText;
        const words = [];
        kind.fillText = function (text, ...more) {{ words.push(text); write.call(this, text, ...more); }};
        {act};
        await {DRAWN};
        kind.fillText = write;
        return words; }})()"""
    )
    return found


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


def test_two_fingers_zoom_one_moves_and_the_page_still_scrolls(opened: Browser) -> None:
    opened.resize(390, 844)
    opened.ask("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    whole = span_s(opened)
    lanes = box(opened, ".lanes canvas")
    x, y = lanes["x"] + 230, lanes["y"] + 30
    opened.touch([[(x - 20 - 5 * step, y), (x + 20 + 5 * step, y)] for step in range(9)])
    spread = span_s(opened)
    assert whole[0] < spread[0] < spread[1] < whole[1]
    assert spread[1] - spread[0] == pytest.approx((whole[1] - whole[0]) / 3, rel=0.05)
    opened.touch([[(x - 10 * step, y)] for step in range(9)])
    moved = span_s(opened)
    assert moved[0] > spread[0]
    assert moved[1] - moved[0] == pytest.approx(spread[1] - spread[0], abs=0.02)
    opened.touch([[(x - 60 + 5 * step, y), (x + 60 - 5 * step, y)] for step in range(9)])
    assert span_s(opened)[1] - span_s(opened)[0] > 2 * (moved[1] - moved[0])
    assert opened.run("visualViewport.scale") == 1
    opened.ask("Emulation.setTouchEmulationEnabled", enabled=False)


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
    opened.mouse("mouseWheel", lanes["x"] + 400, y, deltaX=-100, deltaY=0)
    assert span_s(opened)[1] - span_s(opened)[0] == pytest.approx(moved[1] - moved[0], abs=0.01)
    assert span_s(opened)[0] < moved[0]
    before = span_s(opened)
    overview = box(opened, ".overview canvas")
    opened.drag(overview["x"] + 500, overview["x"] + 400, overview["y"] + 20)
    assert span_s(opened)[0] < before[0] - 0.5
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
    enter(opened, "node", "2")
    opened.until("document.getElementById('count').textContent === '200 of 1,000 operations'")
    enter(opened, "node", "")
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
    opened.run("[...document.querySelectorAll('#chosen button')][1].click()")
    assert text(opened, "#count") == "1 of 1,000 operations"


def test_a_counterexample_and_a_fault_lead_into_the_timeline(opened: Browser) -> None:
    whole = span_s(opened)
    opened.run("document.querySelector('[data-events]').click()")
    assert "part of a counterexample" in text(opened, "#chosen")
    near = span_s(opened)
    opened.run(DRAWN)
    assert painted(opened, 2, "mark") > 20
    assert near[1] - near[0] < (whole[1] - whole[0]) / 10
    opened.run("document.querySelector('[data-fault=\"0\"]').click()")
    assert span_s(opened)[0] < 10 < 19 < span_s(opened)[1]
    opened.until("Number(document.querySelector('#list tbody td').textContent) > 5")
    opened.run("[...document.querySelectorAll('#list tbody button')].at(-1).click()")
    assert "partition (halves" in text(opened, "#chosen dl")


def test_lanes_can_be_grouped_by_anything_that_operations_have(opened: Browser) -> None:
    heights = {}
    for kind in ("process", "node", "key", "operation", "client"):
        choose(opened, "lanes-by", kind)
        opened.run(DRAWN)
        heights[kind] = box(opened, ".lanes canvas")["height"]
    assert heights["key"] < heights["operation"] < heights["node"] < heights["client"] < heights["process"]


def test_clocks_and_members_are_told_by_pointing(opened: Browser) -> None:
    tracks = "document.querySelectorAll('.track canvas')"
    for place, words in ((5, "n1: +"), (6, "suspect: n3")):
        opened.run(f"{tracks}[{place}].id = 'pointed{place}'")
        at = box(opened, f"#pointed{place}")
        opened.mouse("mouseMoved", at["x"] + 500, at["y"] + 20)
        opened.until(f"document.getElementById('tip').textContent.includes({words!r})")


def test_an_operation_that_never_ended_takes_no_label_from_the_others(
    browser: Browser, tmp_path: Path
) -> None:
    events = [Op(-1, 0, 0, "invoke", "write", "k", 7)]
    for number in range(1, 5001):
        begin = number * 10_000_000
        events.append(Op(-1, begin, 1, "invoke", "write", "k", number))
        events.append(Op(-1, begin + 8_000_000, 1, "ok", "write", "k", number))
    show(browser, tmp_path, page(summary(history=events, entries=())))
    browser.run("[...document.querySelectorAll('#list tbody button')].at(-1).click()")
    browser.run("document.querySelector('#chosen .buttons button').click()")
    words = written(browser, "for (let i = 0; i < 3; i++) document.querySelector('#out').click()")
    assert {"write 7", "write 98", "write 99", "write 100"} <= set(words)


def test_faults_that_are_there_together_are_all_seen_and_hide_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    faults = [
        Entry(name, name, {"nodes": [f"n{number}"]}, 0.5 * number, 0.5 * number, True, "", 15.0)
        for number, name in enumerate(["rot", "kill"] * 6, 1)
    ]
    faults.append(Entry("rot", "rot", {"nodes": ["later"]}, 16.0, 16.0, True, "", 17.0))
    show(browser, tmp_path, page(summary(entries=faults)))
    words = written(browser, "document.querySelector('#all').click()")
    assert {fault.value["nodes"][0] for fault in faults} <= set(words)
    assert box(browser, ".track:nth-child(2) canvas")["height"] == 12 * 18 + 18
    assert words.count("rot") == words.count("kill") == 1
    box(browser, ".track:nth-child(4) canvas")
    browser.run(DRAWN)
    rate = "document.querySelectorAll('.track canvas')[3].getContext('2d')"
    shade = browser.run(f"[...{rate}.getImageData(700, 1, 1, 1).data]")
    assert 180 < min(shade[:3]) < 230


def test_small_offsets_have_figures_and_nodes_their_order(browser: Browser, tmp_path: Path) -> None:
    seen = [Sighting(float(at), node, "up", at / 10) for at in range(12) for node in reversed(NODES)]
    show(browser, tmp_path, page(summary(), seen))
    box(browser, ".track:nth-child(6) canvas")
    words = written(browser, "document.querySelector('#all').click()")
    assert {"+1 ms", "0", "−1 ms"} <= set(words)
    legend = "[...document.querySelectorAll('.track:nth-child(6) .key')].map((e) => e.textContent)"
    assert browser.run(legend) == list(NODES)


def test_who_is_no_client_of_a_number_has_a_lane_of_its_own(browser: Browser, tmp_path: Path) -> None:
    events = [Op(-1, at, name, "invoke", "read", "k") for at, name in enumerate(("", "-3", "1e1", "4"))]
    show(browser, tmp_path, page(summary(history=[*events, Op(-1, 9, "4", "ok", "read", "k")], entries=())))
    choose(browser, "lanes-by", "node")
    words = written(browser, "document.querySelector('#all').click()")
    assert {"n5", "(none)"} <= set(words)
    assert not [word for word in words if "undefined" in word]


def test_on_paper_all_tracks_are_drawn_and_in_light_colours(opened: Browser) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    opened.ask("Emulation.setEmulatedMedia", features=dark)
    opened.until("getComputedStyle(document.body).backgroundColor === 'rgb(17, 22, 29)'")
    opened.run("window.scrollTo(0, 0)")
    opened.run("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert painted(opened, 6, "alive") > 1000
    assert painted(opened, 6, "ground") > 1000
    opened.run("window.dispatchEvent(new Event('afterprint'))")
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 29)"
    assert len(opened.ask("Page.printToPDF")["data"]) > 10_000
    opened.ask("Emulation.setEmulatedMedia", features=[])


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
