from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise, permutations
from random import Random
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op, pair
from checkers.linear import Linearizable
from checkers.linear.draw import html, svg
from checkers.linear.draw.axis import axis
from checkers.linear.draw.chart import chart_labels, numbers
from checkers.linear.draw.orders import Order, partial_orders
from checkers.linear.draw.story import DRAWN_MAX, Told, story
from checkers.linear.draw.words import escaped, refusal, shortened
from checkers.linear.explain import describe_event
from checkers.linear.problem import Call, calls_of
from checkers.models import ILLEGAL, MODELS, CasRegister, Kv, Model, Register, Semaphore, Set
from checkers.verdict import Status, Verdict
from tests.support.histories import can_be_linearized, histories, history
from tests.support.registers import Store, recorded

STALE = "0(w1 0)w1 1(w2 2(r 1)w2 2)r2 3(w5 3?w5 4(c12 4)c12"
EVIL = (
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "]]>\x00\x1b\u202e\ud800&amp;",
)


def judged(text: str, model: Model | None = None, **options: Any) -> Verdict:
    return Linearizable(model or CasRegister(), **options).check(history(text))


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.tags
            if name == tag and (not kind or kind in str(attributes.get("class")).split())
        ]


def elements(picture: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(picture)
    return [each for each in root.iter() if kind in each.get("class", "").split()]


def appends(seen: str, key: str) -> list[Op]:
    """Of as many letters, all at once, and then a read of `seen`."""
    asked = [Op(process=p, f="append", key=key, value=chr(97 + p)) for p in range(len(seen))]
    read = Op(process=50, f="get", key=key)
    done = [msgspec.structs.replace(op, type="ok") for op in asked]
    return [*asked, *done, read, msgspec.structs.replace(read, type="ok", value=seen)]


def evil_history() -> list[Op]:
    events: list[Op] = []
    for process in EVIL:
        for key in EVIL:
            events += [
                Op(len(events), len(events), process, "invoke", "write", key, EVIL[1]),
                Op(len(events) + 1, len(events) + 1, process, "ok", "write", key, EVIL[1]),
                Op(len(events) + 2, len(events) + 2, process, "invoke", "read", key),
                Op(len(events) + 3, len(events) + 3, process, "ok", "read", key, EVIL[2], EVIL[0]),
            ]
    return events


# An invalid verdict -----------------------------------------------------------------------------------


def test_every_operation_is_drawn_once_and_the_impossible_one_is_marked() -> None:
    verdict = judged(STALE)
    told = verdict.details["operations"]
    picture = svg(verdict)
    assert len(elements(picture, "op")) == len(elements(picture, "bar")) == len(told) > 2
    (accused,) = elements(picture, "accused")
    assert "cas 1 -> 2 (impossible)" in "".join(accused.itertext())
    assert [each.get("class") for each in accused].count("hatch") == 1
    page = Page(html(verdict, "a run"))
    links = [each["href"] for each in page.having("a")]
    assert links == [f"#op-{number}" for number in range(len(told))]
    assert [f"#{each['id']}" for each in page.having("section")] == links
    assert [str(each["aria-label"])[:22] for each in page.having("a", "accused")] == [
        "impossible: cas 1 -> 2"
    ]


def test_the_sentences_are_at_the_top_and_the_verdict_is_the_title() -> None:
    verdict = judged(STALE)
    page = html(verdict, "a run")
    assert "<title>Not linearizable: a run</title>" in page
    for sentence in story(verdict).said:
        assert sentence.rstrip(".:") in Page(page).text
    root = ElementTree.fromstring(svg(verdict))
    assert [child.tag.split("}")[1] for child in root][:2] == ["title", "desc"]
    assert root.get("role") == "img"


def test_an_operation_that_never_ended_is_open_to_the_right() -> None:
    verdict = judged("0(w1 0)w1 1(w2 1?w2 2(r 2)r2 3(r 3)r1")
    drawn = story(verdict)
    lines = axis(drawn.operations, chart_labels(drawn))
    (number,) = [n for n, each in enumerate(drawn.operations) if each.last is None]
    assert lines.right[number] == max(lines.right) > max(r for n, r in enumerate(lines.right) if n != number)
    (bar,) = [each for each in elements(svg(verdict), "open") if each.tag.endswith("g")]
    assert "write 2 (unknown)" in "".join(bar.itertext())


def test_the_reason_why_it_cannot_come_next_is_told_with_the_order_before_it() -> None:
    told = story(judged("1(w1 1)w1 5(w2 5)w2 3(r 3)r1"))
    assert told.accused == 2
    (before,) = told.first
    (order,) = before.orders
    assert [(step.call, step.state) for step in order.steps] == [(0, 1), (1, 2)]
    assert told.stuck(order.stuck[0], 2) == "needs 1, but the state is 2"
    page = Page(html(judged("1(w1 1)w1 5(w2 5)w2 3(r 3)r1"), "x"))
    assert "needs 1, but the state is 2" in page.text


def test_a_verdict_that_went_through_json_is_drawn_the_same() -> None:
    verdict = judged(STALE)
    again = msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict)
    assert html(again, "x") == html(verdict, "x")
    assert svg(again) == svg(verdict)


def test_states_that_json_has_no_word_for_are_restored() -> None:
    def op(kind: Any, f: str, value: Any = None) -> Op:
        return Op(process=0, type=kind, f=f, value=value)

    events = [op("invoke", "add", 1), op("ok", "add", 1), op("invoke", "read"), op("ok", "read", [])]
    verdict = Linearizable(Set()).check(events)
    again = msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict)
    assert verdict.status is Status.INVALID
    assert story(again).first == story(verdict).first != ()


def test_what_was_not_shrunk_has_no_orders_and_says_so() -> None:
    verdict = judged(STALE)
    verdict = msgspec.structs.replace(verdict, details=verdict.details | {"minimal": False})
    assert "No partial orders: the budget for shrinking ran out" in html(verdict, "x")
    assert 'class="order"' not in html(verdict, "x")
    assert len(elements(svg(verdict), "op")) == len(verdict.details["operations"])


def test_a_model_that_does_not_contradict_the_operations_is_not_believed() -> None:
    def op(process: int, f: str) -> list[Op]:
        return [Op(process=process, f=f), Op(process=process, type="ok", f=f)]

    model = Semaphore(2)
    verdict = Linearizable(model).check([*op(0, "acquire"), *op(1, "acquire"), *op(2, "acquire")])
    assert len(story(verdict, model=model).first[0].orders[0].steps) == 2
    wider = story(verdict, model=Semaphore(3))
    assert wider.notes == (
        "No partial orders: these operations do not contradict the model semaphore as it is here.",
    )
    assert wider.first == ()


def test_a_model_of_ones_own_is_asked_for() -> None:
    class Mine(Register):
        name = "mine"

    verdict = judged("1(w1 1)w1 3(r 3)r7", Mine())
    assert "the model mine is not at hand" in html(verdict, "x")
    assert "needs 7, but the state is" in html(verdict, "x", model=Mine())


def test_a_verdict_that_names_no_operations_is_its_sentences() -> None:
    verdict = Verdict("linearizable", Status.INVALID, "it is wrong <somehow>", {"operations": [1]})
    assert "It is wrong &lt;somehow&gt;." in html(verdict, "x")
    assert "It is wrong &lt;somehow&gt;." in svg(verdict)
    ElementTree.fromstring(svg(verdict))


# Valid and unknown ------------------------------------------------------------------------------------


def test_a_linearization_is_drawn_key_by_key() -> None:
    events = recorded(Store(Random(3)), 14, 4, 2, crashes=0.1)
    verdict = Linearizable(CasRegister(), witness=True).check(events)
    starts = {start for order in verdict.details["linearization"].values() for start in order}
    told = story(verdict, events)
    assert {each.start for each in told.operations} == starts
    assert [each.heading for each in told.first] == ["A linearization of key k0", "A linearization of key k1"]
    for shown in told.first:
        legal(shown.orders[0], [call_of(each) for each in told.operations], CasRegister(), None)
    page = Page(html(verdict, "x", events))
    assert len(page.having("a", "op")) == len(starts)
    assert page.having("section")[0]["id"] == "overview"
    assert len(elements(svg(verdict, events), "op")) == len(starts)


def test_of_a_long_linearization_the_beginning_is_drawn() -> None:
    events = recorded(Store(Random(3)), 900, 10, 1)
    verdict = Linearizable(CasRegister(), witness=True).check(events)
    page = html(verdict, "x", events)
    assert len(Page(page).having("a", "op")) == DRAWN_MAX
    assert "more operations are not drawn." in page
    assert len(page) < 2_000_000


def test_a_linearization_that_was_not_asked_for_is_a_sentence() -> None:
    verdict = judged("0(w1 0)w1")
    for text in (html(verdict, "x"), svg(verdict), html(verdict, "x", history("0(w1 0)w1"))):
        assert "There is no linearization to draw" in text


def test_a_linearization_of_nothing_is_a_sentence() -> None:
    events = history("0(r 0?r")
    verdict = Linearizable(Register(), witness=True).check(events)
    assert "No operation says anything about the state." in html(verdict, "x", events)


def test_an_undecided_key_shows_how_far_it_got_and_what_blocks() -> None:
    (*_, last) = calls_of(pair(appends("xxxx", "<k>")), Kv(), "ignore")
    part = {
        "key": "<k>", "completions_explained": 12, "completions": 13, "steps": 3_000,
        "blocked": describe_event(last), "reason": "the budget of 3,000 steps is used up",
    }  # fmt: skip
    verdict = Verdict("linearizable", Status.UNKNOWN, "1 key undecided", {"model": "kv", "undecided": [part]})
    page = Page(html(verdict, "x"))
    for words in ("<k>", "12 of 13", "get = 'xxxx'", "the budget of 3,000 steps is used up"):
        assert words in page.text
        assert words in "".join(ElementTree.fromstring(svg(verdict)).itertext())
    (done,) = elements(svg(verdict), "done")
    (todo,) = elements(svg(verdict), "todo")
    assert float(done.get("width", 0)) / float(todo.get("width", 0)) == pytest.approx(12 / 13, abs=0.01)


def test_what_the_checker_says_of_an_undecided_key_is_understood() -> None:
    verdict = Linearizable(Kv(), steps=3).check(appends("abcdefghh", "k"))
    assert verdict.status is Status.UNKNOWN
    assert [each.key for each in story(verdict).undecided] == ["k"]


# Safety -----------------------------------------------------------------------------------------------


def test_nothing_from_the_history_becomes_markup() -> None:
    verdict = Linearizable(Register()).check(evil_history())
    assert verdict.status is Status.INVALID
    page = Page(html(verdict, EVIL[0]))
    assert page.having("img") == []
    assert len(page.having("script")) == 1
    assert not [name for _, each in page.tags for name in each if name.startswith("on") or name == "style"]
    picture = svg(verdict)
    allowed = {"svg", "title", "desc", "style", "rect", "g", "line", "text", "path", "circle", "polyline"}
    assert {each.tag.split("}")[1] for each in ElementTree.fromstring(picture).iter()} <= allowed
    for text in (html(verdict, EVIL[0]), picture):
        text.encode()
        assert all(char.isprintable() or char == "\n" for char in text)


@given(st.text() | st.sampled_from(EVIL))
def test_escaped_text_says_the_same_and_is_well_formed(text: str) -> None:
    element = ElementTree.fromstring(f'<a b="{escaped(text)}">{escaped(text)}</a>')
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    assert element.text == (shown or None)
    assert element.get("b") == shown


def test_a_page_needs_nothing_from_anywhere_else() -> None:
    verdict = judged(STALE)
    page = html(verdict, "x")
    for text in (page, svg(verdict)):
        assert re.findall(r"(?:src|href)=\"(?!#)|url\(|@import", text) == []
    assert set(re.findall(r"https?://[^\s\"'<]+", page + svg(verdict))) == {"http://www.w3.org/2000/svg"}


def test_the_policy_lets_in_the_pages_own_style_and_script_alone() -> None:
    page = html(judged(STALE), "x")
    (policy,) = [str(each["content"]) for each in Page(page).having("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        own = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{own}'" in policy


# Determinism ------------------------------------------------------------------------------------------

CODE = """
from random import Random
from checkers.linear import Linearizable
from checkers.linear.draw import html, svg
from checkers.models import CasRegister
from tests.support.registers import Store, recorded
verdict = Linearizable(CasRegister()).check(recorded(Store(Random(1), "lost writes"), 2000, 10, 5))
print(html(verdict, "x"), svg(verdict))
"""


def test_the_same_verdict_gives_the_same_bytes_in_every_process() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 5_000


# Partial linearizations -------------------------------------------------------------------------------

ASKED = [("read", None), ("write", 1), ("write", 2), ("cas", [1, 2]), ("cas", [2, 1])]


def call_of(told: Told) -> Call:
    call = told.call(CasRegister())
    assert call is not None
    return call


def legal(order: Order, calls: Sequence[Call], model: Model, state: Any) -> None:
    """Legal by the model's step, in real time, nothing twice, and stuck where it says so."""
    placed: set[int] = set()
    for step in order.steps:
        call = calls[step.call]
        assert step.call not in placed
        assert not [each for each in placed if calls[each].start > (call.end or 1 << 60)]
        state = model.step(state, call.f, call.value)
        assert state is not ILLEGAL
        assert state == step.state
        placed.add(step.call)
    for number in order.stuck:
        assert number not in placed
        before = {
            i for i, each in enumerate(calls) if each.end is not None and each.end < calls[number].start
        }
        assert before <= placed or len(calls) > 20
        assert model.step(state, calls[number].f, calls[number].value) is ILLEGAL


def longest(calls: Sequence[Call], model: Model, number: int) -> tuple[int, int]:
    """How many required calls the longest order with that call has, and the longest that it cannot follow,
    by trying every order; -1 if there is none."""
    fits = refuses = -1
    for order in permutations(range(len(calls))):
        state, placed = model.initial, 0
        done: list[int] = []
        for each in order:
            before = {i for i, other in enumerate(calls) if (other.end or 1 << 60) < calls[each].start}
            if not before <= set(done):
                break
            after = model.step(state, calls[each].f, calls[each].value)
            if after is ILLEGAL:
                refuses = max(refuses, placed) if each == number else refuses
                break
            state = after
            done.append(each)
            placed += calls[each].end is not None
            fits = max(fits, placed) if number in done else fits
    return fits, refuses


@settings(deadline=None, max_examples=150)
@given(histories(ASKED, [None, 1, 2], size=5))
def test_partial_linearizations_are_legal_and_the_longest_there_are(events: list[Op]) -> None:
    model = CasRegister()
    calls = calls_of(pair(events), model, "observe")
    ends = [(call.end, number) for number, call in enumerate(calls) if call.end is not None]
    accused = max(ends)[1] if ends else None
    found = partial_orders(calls, model, None, accused)
    assert not found.cut
    assert found.complete == can_be_linearized(calls, model)
    if found.complete:
        return
    required = [call.end is not None for call in calls]
    for number, places in enumerate(found.places):
        for order in (*places.fitting, *places.refusing):
            legal(order, calls, model, None)
        fits, refuses = longest(calls, model, number)
        lengths = {sum(required[step.call] for step in order.steps) for order in places.fitting}
        assert lengths == ({fits} if fits >= 0 else set())
        assert all(order.steps[order.at].call == number for order in places.fitting)
        lengths = {sum(required[step.call] for step in order.steps) for order in places.refusing}
        if number == accused or fits < 0:
            assert lengths == ({refuses} if refuses >= 0 else set())
        assert all(order.stuck[0] == number for order in places.refusing)


@pytest.mark.parametrize("defect", ["stale reads", "lost writes", "cas without comparing"])
def test_the_orders_of_a_broken_store_are_legal(defect: Any) -> None:
    verdict = Linearizable(CasRegister()).check(recorded(Store(Random(4), defect), 3000, 10, 20))
    told = story(verdict)
    assert verdict.details["minimal"]
    assert told.first
    calls = [call_of(each) for each in told.operations]
    for shown in told.shown:
        for order in (order for each in shown for order in each.orders):
            legal(order, calls, CasRegister(), told.begin)


def test_too_many_orders_are_cut_and_it_says_so() -> None:
    calls = calls_of(pair(appends("abcdefghh", "k")), Kv(), "ignore")
    operations = [describe_event(call) for call in calls]
    details = {"model": "kv", "operations": operations, "minimal": True, "blocked_at": calls[-1].end}
    verdict = Verdict("linearizable", Status.INVALID, "it is wrong", details)
    told = story(verdict)
    assert told.notes == ("Only 20,000 partial orders were tried; there are others, perhaps longer ones.",)
    assert len(told.first[0].orders[0].steps) == 9


def test_of_two_long_values_the_difference_is_told() -> None:
    call = Call("get", "a" * 100 + "x" + "b" * 100, 0, 1, pair(history("0(r 0)r1"))[0])
    said = refusal(Kv(), call, "a" * 100 + "y" + "b" * 100)
    assert said.startswith("needs … 'aaaaaaaaaaaaxbbb")
    assert "(from character 101 on), but the state is … 'aaaaaaaaaaaaybbb" in said
    assert len(said) < 250


# Places -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(histories(ASKED, [None, 1, 2], size=6), st.booleans())
def test_events_keep_their_order_and_labels_and_bars_of_a_lane_do_not_meet(
    events: list[Op], timed: bool
) -> None:
    if not timed:
        events = [msgspec.structs.replace(op, time=-1) for op in events]
    told = [
        Told(
            process=invoke.process, f=invoke.f, value=invoke.value, outcome="ok", start=start, end=end,
            invoked_ns=invoke.time, completed_ns=-1 if done is None else done.time,
            open_at_the_end=end is None,
        )
        for invoke, done, start, end in pair(events)
    ]  # fmt: skip
    if not told:
        return
    lines = axis(told, ["a label of some length"] * len(told))
    where = {each.start: lines.left[n] for n, each in enumerate(told)}
    where |= {each.last: lines.right[n] for n, each in enumerate(told) if each.last is not None}
    xs = [where[place] for place in sorted(where)]
    assert all(a < b for a, b in pairwise(xs))
    for lane in range(len(lines.lanes)):
        own = [number for number in range(len(told)) if lines.lane[number] == lane]
        assert all(lines.left[a] + lines.clear[a] <= lines.left[b] for a, b in pairwise(own))
    assert max(lines.right) <= lines.width
    assert lines.timed == timed


@pytest.mark.parametrize("text", [STALE, "0(w1 1(w2 0)w1 1)w2 2(r 3(r 2)r1 3)r2 4(r 4)r1"])
def test_the_points_of_an_order_go_from_left_to_right_each_on_its_bar(text: str) -> None:
    told = story(judged(text))
    lines = axis(told.operations, chart_labels(told))
    for order in (order for shown in told.shown for each in shown for order in each.orders):
        points = lines.points(numbers(order))
        assert all(a.x < b.x for a, b in pairwise(points))
        for point in points:
            assert lines.left[point.operation] < point.x < lines.right[point.operation]


def test_long_idle_times_are_cut_out_and_named() -> None:
    events = [
        Op(0, 0, 0, "invoke", "write", None, 1), Op(1, 2_000_000, 0, "ok", "write", None, 1),
        Op(2, 3_600_000_000_000, 0, "invoke", "read"), Op(3, 3_600_001_000_000, 0, "ok", "read", None, 7),
        Op(4, 3_600_002_000_000, 0, "invoke", "read"), Op(5, 3_600_003_000_000, 0, "ok", "read", None, 1),
    ]  # fmt: skip
    verdict = Linearizable(Register()).check([*events[:2], *events[4:], *events[2:4]])
    told = [
        Told(0, "read", 1, "ok", at, at + 1, None, None, events[at].time, events[at + 1].time)
        for at in (0, 2)
    ]
    lines = axis(told, ["read", "read"])
    assert verdict.status is Status.INVALID
    assert [idle.text for idle in lines.idle] == ["3,600 s"]
    assert lines.width < 800


def test_a_long_label_loses_its_middle() -> None:
    assert shortened("x" * 100) == "x" * 16 + " … " + "x" * 16
    assert shortened("short") == "short"


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_something_to_draw(name: str) -> None:
    """A sentence at least, whatever the values are."""
    model = MODELS[name]()
    told = [
        {"process": 0, "f": f, "value": value, "outcome": "ok", "start": 2 * n, "end": 2 * n + 1}
        for n, f in enumerate(sorted(model.operations))
        for value in (None,)
    ]
    details = {"model": name, "operations": told, "minimal": True, "blocked_at": 1, "begins_as": "?"}
    verdict = Verdict("linearizable", Status.INVALID, "it is wrong", details)
    assert len(elements(svg(verdict), "op")) == len(told)
    Page(html(verdict, "x"))
