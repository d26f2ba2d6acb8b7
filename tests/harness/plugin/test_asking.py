"""Client functions as operations: what they are called with, and what their answers and exceptions mean."""

import sys
import threading
import time
from urllib.error import URLError

import pytest
import trio

from checkers.history import Op
from checkers.models import MODELS
from harness.client import perform
from harness.context import Context
from harness.plugin.asking import KNOWN, TRIES, Asks, Functions, check_judgeable
from harness.plugin.node import Node, Refused
from harness.plugin.session import FunctionSession
from store.core.messages import Report, Status

NODE = Node("n1", "127.0.0.1", 4001)


def outcome(f, function, value=None, timeout_s=5.0, model="register"):
    """The completion of one operation."""
    work = Functions({f: function}, MODELS[model](), None)
    op = Op(process=3, f=f, key="k1", value=value)
    done = trio.run(perform, work, FunctionSession(NODE, pytest.fail), op, timeout_s)
    return done.type, done.value, done.error


def test_a_read_is_called_with_node_and_key_and_what_it_returns_is_the_answer():
    called = []
    assert outcome("read", lambda *words: called.append(words) or 7) == ("ok", 7, None)
    assert called == [(NODE, "k1")]


def test_a_write_is_called_with_its_value_and_what_it_returns_is_of_no_interest():
    called = []
    assert outcome("write", lambda *words: called.append(words), 5) == ("ok", 5, None)
    assert called == [(NODE, "k1", 5)]


def test_a_cas_is_called_with_both_values():
    called = []
    done = outcome("cas", lambda *words: called.append(words), [1, 2], model="cas-register")
    assert done == ("ok", [1, 2], None)
    assert called == [(NODE, "k1", 1, 2)]


def test_contains_is_called_with_the_element_and_answered_beside_it():
    called = []
    done = outcome("contains", lambda *words: called.append(words) or True, [4, None], model="set")
    assert done == ("ok", [4, True], None)
    assert called == [(NODE, "k1", 4)]


def test_an_async_function_runs_in_the_loop_of_the_harness():
    async def read(node, key):
        await trio.lowlevel.checkpoint()
        return threading.current_thread() is threading.main_thread()

    assert outcome("read", read) == ("ok", True, None)


def refused(*words):
    raise Refused("quota")


def not_listening(*words):
    raise ConnectionRefusedError(111, "Connection refused")


def wrapped(*words):
    raise URLError(ConnectionRefusedError(111, "Connection refused"))


def chained(*words):
    try:
        not_listening()
    except ConnectionRefusedError as error:
        raise RuntimeError("all attempts failed") from error


def wrapped_in_arguments(*words):
    try:
        chained()
    except RuntimeError as error:
        raise LookupError(error)  # noqa: B904 (as `requests` does it)


def two_that_refuse(*words):
    try:
        not_listening()
    except ConnectionRefusedError:
        not_listening()


def refused_first_and_then_reset(*words):
    try:
        not_listening()
    except ConnectionRefusedError:
        reset()


def reset_first_and_then_refused(*words):
    try:
        reset()
    except ConnectionResetError:
        wrapped()


def reset(*words):
    raise ConnectionResetError(104, "Connection reset by peer")


def test_what_was_refused_did_not_happen():
    assert outcome("write", refused, 5) == ("fail", 5, "quota")


@pytest.mark.parametrize("function", [not_listening, wrapped, chained, wrapped_in_arguments, two_that_refuse])
def test_what_never_connected_did_not_happen(function):
    assert outcome("write", function, 5) == ("fail", 5, "n1 refuses connections")


def test_any_other_exception_leaves_open_whether_a_write_happened():
    assert outcome("write", reset, 5) == (
        "info",
        5,
        "ConnectionResetError: [Errno 104] Connection reset by peer",
    )


@pytest.mark.parametrize("function", [refused_first_and_then_reset, reset_first_and_then_refused])
def test_a_refused_connection_says_nothing_of_another_attempt(function):
    assert outcome("write", function, 5)[0] == "info"


def test_for_a_read_it_makes_no_difference():
    assert outcome("read", reset)[0] == "fail"


def test_a_function_that_takes_too_long_is_left_to_itself():
    done = threading.Event()
    began = time.monotonic()
    assert outcome("write", lambda *words: done.wait(30), 5, timeout_s=0.05)[0] == "info"
    assert time.monotonic() - began < 10
    done.set()


def test_what_a_plain_function_makes_is_awaited():
    async def read(node, key):
        await trio.lowlevel.checkpoint()
        return 7

    assert outcome("read", lambda node, key: read(node, key)) == ("ok", 7, None)


@pytest.mark.parametrize(("answer", "recorded"), [((1, 2), [1, 2]), ({3}, [3])])
def test_an_answer_is_what_the_file_of_the_history_will_have(answer, recorded):
    assert outcome("read", lambda node, key: answer) == ("ok", recorded, None)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            lambda node, key: b"7",
            "a client function answered b'7', which is nothing that JSON has: it is bytes",
        ),
        (
            lambda node, key: object,
            "a client function answered <class 'object'>, which is nothing that JSON has",
        ),
        (lambda node, key: float("nan"), "a client function answered nan, which is nothing that JSON has"),
        (lambda node, key: pytest.fail("no"), "a client function ended with Failed: no"),
        (lambda node, key: sys.exit(3), "a client function ended with SystemExit: 3"),
    ],
)
def test_what_makes_the_run_worthless_is_told_to_whoever_can_end_it(function, sentence):
    told = []
    work = Functions({"read": function}, None, None)
    session = FunctionSession(NODE, told.append)
    done = trio.run(perform, work, session, Op(process=3, f="read", key="k1"), 5.0)
    assert done.type == "fail"
    assert len(told) == 1
    assert told[0].startswith(sentence)


def test_nobody_is_asked_how_the_node_is():
    assert trio.run(FunctionSession(NODE, pytest.fail).request, Status(), 1.0) == Report(0, {})


def test_the_operations_must_be_those_of_the_model():
    with pytest.raises(ValueError, match="register has no operation 'raed'; it has read, write"):
        Functions({"raed": print}, MODELS["register"](), None)


def test_an_operation_that_nobody_knows_needs_a_generator():
    with pytest.raises(ValueError, match="'transfer' needs a generator"):
        Functions({"transfer": print}, None, None)
    Functions({"transfer": print}, None, Asks(("transfer",), 1))


@pytest.mark.parametrize(
    ("function", "model", "f", "sentence"),
    [
        (7, "register", "read", "the operation 'read' is 7; it is a function of a node and a key"),
        (lambda node: 1, "register", "read", r"'read' is called with \(node, key\): too many positional"),
        (lambda node, key: 1, "register", "write", r"'write' is called with \(node, key, value\): too many"),
        (
            lambda *words: 1,
            "kv",
            "append",
            "'append' needs a generator, .*: the value of an append is a string",
        ),
        (
            lambda *words: 1,
            "owner-aware-mutex",
            "acquire",
            "'acquire' needs a generator, .* names the client",
        ),
    ],
)
def test_what_could_never_be_called_is_refused_before_anything_starts(function, model, f, sentence):
    with pytest.raises(ValueError, match=sentence):
        Functions({f: function}, MODELS[model](), None)


def test_what_could_never_be_wrong_is_refused():
    with pytest.raises(ValueError, match="nothing would be shown: read changes nothing"):
        check_judgeable({"read"})
    with pytest.raises(
        ValueError, match="nothing would be shown: add, remove tells nothing of what was kept"
    ):
        check_judgeable({"add", "remove"})
    for fs in (
        {"read", "write"},
        {"cas"},
        {"acquire", "release"},
        {"fetch-and-increment"},
        {"add", "contains"},
    ):
        check_judgeable(fs)


def test_what_a_lock_answers_is_not_taken_for_its_holder():
    assert outcome("acquire", lambda node, key: "done", model="semaphore") == ("ok", None, None)
    assert outcome("dequeue", lambda node, key: 7, model="fifo-queue") == ("ok", 7, None)


def test_without_operations_there_is_nothing_to_ask():
    with pytest.raises(ValueError, match="no operations"):
        Functions({}, None, None)


def asked(fs, count, seed=1):
    generator, found = Asks(fs, seed), []
    ctx = Context(0, (0,), (0,), {0: 0})
    for _ in range(count):
        op, generator = generator.op(ctx)
        found.append(op)
        generator = generator.update(ctx, op)
    return found


def test_written_values_are_unique_and_every_kind_is_asked():
    found = asked(tuple(sorted(KNOWN)), 2000)
    assert {op.f for op in found} == KNOWN
    written = [op.value for op in found if op.f in ("write", "add", "enqueue")]
    assert len(set(written)) == len(written)


def test_a_key_is_given_up_after_some_operations():
    found = asked(("read",), 1200)
    assert {op.key for op in found[:500]} == {f"k{n}" for n in range(5)}
    assert {op.key for op in found[500:1000]} == {f"k{n}" for n in range(5, 10)}


def looked(work, answer):
    """The last look of one client: the keys it asks for, each answered as `answer` says."""
    ctx = Context(0, (0,), (0,), {0: 0})
    generator, found = work.final(), []
    while len(found) < 100 and (asked := generator.op(ctx)) is not None:
        op, generator = asked
        found.append(op.key)
        for type_ in ("invoke", answer(op.key)):
            if generator is not None:
                generator = generator.update(ctx, Op(type=type_, process=0, f=op.f, key=op.key))
        if generator is None:
            break
    return found


def test_at_the_end_every_key_that_was_asked_for_is_read_until_it_is_told_or_given_up():
    work = Functions({"read": lambda *words: 1, "write": lambda *words: 1}, MODELS["register"](), None)
    for number in (0, 1, 0, 2, 1):
        work.encode(Op(process=0, f="write", key=f"k{number}", value=1))
    assert looked(work, lambda key: "ok") == ["k0", "k1", "k2"]
    assert looked(work, lambda key: "fail" if key == "k1" else "ok") == ["k0", *["k1"] * TRIES, "k2"]


def test_without_a_read_or_with_a_generator_of_ones_own_there_is_no_last_look():
    assert Functions({"enqueue": lambda *words: 1}, None, None).final() is None
    assert Functions({"read": lambda *words: 1}, None, Asks(("read",), 1)).final() is None


def test_the_same_seed_asks_the_same():
    fs = ("read", "write")
    assert asked(fs, 50) == asked(fs, 50) != asked(fs, 50, seed=2)


def test_a_cas_expects_what_was_last_seen():
    ctx = Context(0, (0,), (0,), {0: 0})
    generator = Asks(("cas",), 1)
    for key in range(5):
        generator = generator.update(ctx, Op(type="ok", f="read", key=f"k{key}", value=40 + key))
    op, _ = generator.op(ctx)
    assert op.value == [40 + int(op.key[1:]), 1]
