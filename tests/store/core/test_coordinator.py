"""What each kind of request does on a cluster where nothing goes wrong, and which requests make no sense."""

from __future__ import annotations

import pytest

from store.core.data.siblings import SIBLINGS_MAX
from store.core.messages import (
    BATCH_MAX,
    COUNT_MAX,
    Body,
    Cas,
    ChangeElements,
    ChangeFields,
    Delete,
    Done,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundMany,
    FoundSiblings,
    Get,
    Increment,
    MultiGet,
    Put,
    Scan,
)
from tests.support.buckets import BucketSoup

MS = 1_000_000
LEVELS = ["one", "quorum", "all", "r=1,w=3", "quorum,sloppy", "one,sloppy"]
EVERY_READ = ["quorum", "all", "quorum,sloppy"]


@pytest.fixture
def soup() -> BucketSoup:
    return BucketSoup()


def values_of(
    soup: BucketSoup, key: str, node: str = "n1", level: str = "quorum"
) -> tuple[tuple[bytes, ...], bytes]:
    found = soup.call(node, Get(key, level))
    assert isinstance(found, FoundSiblings)
    return found.values, found.context


@pytest.mark.parametrize("level", LEVELS)
def test_siblings_stay_until_somebody_who_read_them_writes(soup: BucketSoup, level: str) -> None:
    for node, value in zip(soup.names, (b"1", b"2", b"3"), strict=False):
        assert isinstance(soup.call(node, Put("sib/k", value, level)), Done)
    soup.quiesce()
    values, context = values_of(soup, "sib/k")
    assert values == (b"1", b"2", b"3")
    assert isinstance(soup.call("n4", Put("sib/k", b"all", level, context=context)), Done)
    soup.quiesce()
    for node in soup.names:
        assert values_of(soup, "sib/k", node)[0] == (b"all",)


def test_a_delete_with_context_leaves_the_sibling_that_came_in_between(soup: BucketSoup) -> None:
    soup.call("n1", Put("sib/k", b"1", "quorum"))
    context = values_of(soup, "sib/k")[1]
    soup.call("n2", Put("sib/k", b"2", "quorum"))
    soup.call("n3", Delete("sib/k", "quorum", context))
    values, context = values_of(soup, "sib/k")
    assert values == (b"2",)
    soup.call("n3", Delete("sib/k", "quorum", context))
    assert values_of(soup, "sib/k")[0] == ()


@pytest.mark.parametrize("level", LEVELS)
def test_counters_add_up_from_every_node(soup: BucketSoup, level: str) -> None:
    for by, node in enumerate(soup.names, start=1):
        assert isinstance(soup.call(node, Increment("cnt/k", by, level)), Done)
        assert isinstance(soup.call(node, Increment("cnt/k", -1, level)), Done)
    soup.quiesce()
    for node in soup.names:
        assert soup.call(node, Get("cnt/k", "quorum")) == FoundCount(soup._clients, 15 - 5)


@pytest.mark.parametrize("level", LEVELS)
def test_sets_and_maps_change_from_every_node(soup: BucketSoup, level: str) -> None:
    assert isinstance(soup.call("n1", ChangeElements("set/k", (b"a", b"b"), (), level)), Done)
    assert isinstance(soup.call("n1", ChangeFields("map/k", {"f": b"1", "g": b"2"}, level)), Done)
    soup.quiesce()
    assert isinstance(soup.call("n2", ChangeElements("set/k", (b"c",), (b"a",), level)), Done)
    assert isinstance(soup.call("n2", ChangeFields("map/k", {"f": b"3", "g": None}, level)), Done)
    soup.quiesce()
    for node in soup.names:
        elements, fields = soup.call(node, Get("set/k", "one")), soup.call(node, Get("map/k", "one"))
        assert isinstance(elements, FoundElements)
        assert isinstance(fields, FoundFields)
        assert elements.elements == (b"b", b"c")
        assert fields.fields == {"f": b"3"}


def test_a_removal_at_quorum_removes_what_a_quorum_has_even_where_it_is_unknown(soup: BucketSoup) -> None:
    """The replica that makes the change has missed the addition."""
    a, _, c = soup.replicas("set/k")
    soup.isolate(c)
    assert isinstance(soup.call(a, ChangeElements("set/k", (b"x",), (), "quorum")), Done)
    soup.quiesce()
    soup.heal()
    soup.forget(c, "set/k")
    soup.cut = {(c, a), (a, c)}
    assert isinstance(soup.call(c, ChangeElements("set/k", (), (b"x",), "quorum")), Done)
    soup.heal()
    found = soup.call(a, Get("set/k", "all"))
    assert isinstance(found, FoundElements)
    assert found.elements == ()


def test_a_value_with_a_time_to_live_is_absent_after_it(soup: BucketSoup) -> None:
    soup.call("n1", Put("k", b"v", "all", ttl_ms=5_000))
    assert soup.call("n2", Get("k", "quorum")) == Found(soup._clients, b"v")
    soup.now += 5_001 * MS
    assert soup.call("n2", Get("k", "quorum")) == Found(soup._clients, None)
    soup.call("n1", Put("k", b"w", "all"))
    soup.now += 5_001 * MS
    assert soup.call("n2", Get("k", "quorum")) == Found(soup._clients, b"w")


@pytest.mark.parametrize("level", ["one", "quorum", "linearizable"])
def test_a_multi_get_answers_in_the_order_of_its_keys(soup: BucketSoup, level: str) -> None:
    for number in range(40):
        soup.call(
            "n1", Put(f"k{number}", b"%d" % number, "linearizable" if level == "linearizable" else "all")
        )
    keys = tuple([f"k{number}" for number in reversed(range(41))])
    many = soup.call("n3", MultiGet(keys, level))
    assert isinstance(many, FoundMany)
    found = [answer.value for answer in many.responses if isinstance(answer, Found)]
    assert found == [None, *[b"%d" % number for number in reversed(range(40))]]


def test_a_multi_get_reads_each_key_as_its_bucket_has_it(soup: BucketSoup) -> None:
    soup.call("n1", Increment("cnt/k", 5, "all"))
    soup.call("n1", Put("sib/k", b"v", "all"))
    many = soup.call("n2", MultiGet(("cnt/k", "sib/k", "k"), "quorum"))
    assert isinstance(many, FoundMany)
    assert [type(answer) for answer in many.responses] == [FoundCount, FoundSiblings, Found]


def test_a_multi_get_that_would_be_too_long_says_so_for_the_keys_that_do_not_fit(soup: BucketSoup) -> None:
    for number in range(4):
        soup.call("n1", Put(f"k{number}", bytes(900_000), "one"))
    soup.quiesce()
    many = soup.call("n2", MultiGet(("k0", "k1", "k2", "k3"), "quorum"))
    assert isinstance(many, FoundMany)
    assert [type(answer) for answer in many.responses] == [Found, Found, Failed, Failed]
    assert isinstance(many.responses[2], Failed)
    assert many.responses[2].code == "too-large"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (
            Put("cnt/k", b"v", "one"),
            "put is for buckets of kind lww or siblings, and bucket 'cnt' is of kind counter",
        ),
        (Delete("set/k", "one"), "delete is for buckets of kind lww or siblings"),
        (
            Increment("k", 1, "one"),
            "increment is for buckets of kind counter, and bucket 'default' is of kind lww",
        ),
        (Increment("cnt/k", 1, "linearizable"), "not for level linearizable"),
        (ChangeElements("k", (b"x",), (), "one"), "a change of elements is for buckets of kind set"),
        (ChangeElements("set/k", (), (), "one"), "names at least one"),
        (ChangeFields("set/k", {"f": None}, "one"), "a change of fields is for buckets of kind map"),
        (ChangeFields("map/k", {}, "one"), "names at least one"),
        (ChangeFields("map/k", {"": b"v"}, "one"), "a field's name has 1 to"),
        (Put("k", b"v", "linearizable", ttl_ms=5), "ttl_ms is not for level linearizable"),
        (Put("sib/k", b"v", "one", ttl_ms=5), "ttl_ms is for last-write-wins buckets"),
        (Put("k", b"v", "one", context=b"\x90"), "a context is for buckets with siblings"),
        (Delete("k", "linearizable", b"\x90"), "a context is for buckets with siblings"),
        (Put("sib/k", b"v", "one", context=b"junk"), "a context is what a read has given"),
        (Cas("sib/k", None, b"v", "quorum"), "cas needs level linearizable, not quorum"),
        (Get("\x00layout/2", "linearizable"), "zero byte"),
        (Get("two/k", "r=3,w=1"), "1 <= R, W <= 2"),
        (Get("k", "linearizable,sloppy"), "is not one of"),
        (MultiGet(("k", "ü" * 1000), "one"), "at most 1024 bytes"),
        (MultiGet(("k", "two/k"), "r=3"), "1 <= R, W <= 2"),
        (Scan("", "", 10, "r=3"), "1 <= R, W <= 2"),
        (Scan("\x00", "", 10, "one"), "zero byte"),
        (Scan("", "", 10, "most"), "is not one of"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(soup: BucketSoup, body: Body, named: str) -> None:
    answer = soup.call("n1", body)
    assert isinstance(answer, Failed)
    assert answer.code == "bad-request"
    assert named in answer.text


def test_the_linearizable_family_takes_any_bucket_and_knows_nothing_of_its_kind(soup: BucketSoup) -> None:
    assert isinstance(soup.call("n1", Cas("cnt/k", None, b"v", "linearizable")), Done)
    soup.call("n1", Increment("cnt/k", 7, "all"))
    assert soup.call("n2", Get("cnt/k", "linearizable")) == Found(soup._clients, b"v")
    assert soup.call("n2", Get("cnt/k", "quorum")) == FoundCount(soup._clients, 7)


def test_what_a_key_cannot_hold_is_refused_and_nothing_is_changed(soup: BucketSoup) -> None:
    for number in range(SIBLINGS_MAX):
        assert isinstance(soup.call("n1", Put("sib/k", b"%d" % number, "quorum")), Done)
    soup.quiesce()
    refusals = [
        soup.call("n1", Put("sib/k", b"more", "quorum")),
        soup.call("n1", Put("sib/other", bytes(500_000), "quorum")),
        soup.call("n1", ChangeFields("map/k", {"f": bytes(500_000)}, "quorum")),
        soup.call(
            "n1", ChangeElements("set/k", tuple([b"%0999d" % n for n in range(BATCH_MAX)]), (), "quorum")
        ),
    ]
    for refused in refusals:
        assert isinstance(refused, Failed)
        assert refused.code == "too-large"
    values, context = values_of(soup, "sib/k")
    assert len(values) == SIBLINGS_MAX
    assert isinstance(soup.call("n1", Put("sib/k", b"one", "quorum", context=context)), Done)
    assert values_of(soup, "sib/other")[0] == values_of(soup, "sib/never")[0] == ()
    assert isinstance(soup.call("n1", Increment("cnt/k", COUNT_MAX, "quorum")), Done)
    full = soup.call("n1", Increment("cnt/k", 1, "quorum"))
    assert isinstance(full, Failed)
    assert full.code == "too-large"


def test_a_counter_session_is_opened_once_for_many_increments(soup: BucketSoup) -> None:
    node = soup.others("cnt/k")[0]
    for _ in range(20):
        soup.call(node, Increment("cnt/k", 1, "quorum"))
    assert sum(len(other._edits._sessions) for other in soup.nodes.values()) == 1
