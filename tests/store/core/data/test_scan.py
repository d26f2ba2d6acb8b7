"""Scans across shards, page by page, with nodes away; and what they cost."""

from __future__ import annotations

import pytest

from store.core.data.datum import DATUM_BYTES_MAX
from store.core.data.scan import _merged, preference_lists, replica_counts
from store.core.messages import (
    Delete,
    Failed,
    Found,
    FoundCount,
    Increment,
    Listed,
    Put,
    Scan,
    Scanned,
)
from store.core.ownership.ring import Ring
from tests.support.buckets import BucketSoup

KEYS = [f"user/{number:03}" for number in range(60)]


@pytest.fixture
def soup() -> BucketSoup:
    soup = BucketSoup()
    for number, key in enumerate(KEYS):
        soup.call(soup.names[number % 5], Put(key, key.encode(), "all"))
    soup.call("n1", Put("other", b"1", "all"))
    return soup


def pages(soup: BucketSoup, prefix: str, limit: int, level: str, node: str = "n1") -> list[Scanned]:
    found: list[Scanned] = []
    after = ""
    while True:
        page = soup.call(node, Scan(prefix, after, limit, level))
        assert isinstance(page, Scanned), page
        found.append(page)
        if not page.more:
            return found
        after = page.items[-1][0]


def keys_of(found: list[Scanned]) -> list[str]:
    return [key for page in found for key, _ in page.items]


@pytest.mark.parametrize("level", ["one", "quorum", "all", "quorum,sloppy"])
@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
def test_pages_together_are_every_key_once_and_in_order(soup: BucketSoup, level: str, limit: int) -> None:
    found = pages(soup, "user/", limit, level)
    assert keys_of(found) == KEYS
    assert all(len(page.items) <= limit for page in found)
    assert all(isinstance(answer, Found) and answer.value == key.encode() for key, answer in found[0].items)


def test_deleted_keys_are_left_out_and_an_empty_page_is_the_last(soup: BucketSoup) -> None:
    for key in KEYS[:50]:
        soup.call("n2", Delete(key, "all"))
    found = pages(soup, "user/", 4, "quorum")
    assert keys_of(found) == KEYS[50:]
    assert [len(page.items) for page in found[:-1]] == [4, 4]
    assert keys_of(pages(soup, "nothing/", 4, "quorum")) == []


def test_a_scan_tells_what_it_cost(soup: BucketSoup) -> None:
    page = soup.call("n1", Scan("user/", "", 10, "quorum"))
    assert isinstance(page, Scanned)
    assert page.more
    assert page.cost["nodes_asked"] == 5
    assert page.cost["keys_examined"] >= 10
    assert page.cost["messages"] == 5 + 10 * 3
    assert page.cost["bytes"] > 10 * 2 * len("user/000")


def test_linearizable_keys_are_scanned_by_themselves_without_the_stores_own(soup: BucketSoup) -> None:
    for key in KEYS[:5]:
        soup.call("n1", Put(key, b"register", "linearizable"))
    soup.call("n1", Delete(KEYS[0], "linearizable"))
    for node in soup.nodes.values():
        held = soup.disks[node.name].get("p/" + KEYS[1])
        if held is not None:
            soup.disks[node.name]["p/\x00layout/2"] = held
    found = pages(soup, "", 3, "linearizable")
    assert keys_of(found) == KEYS[1:5]
    assert found[0].items[0][1] == Found(found[0].items[0][1].id, b"register")
    assert found[0].cost["messages"] >= 5 + 3 * 3


def test_data_of_every_kind_are_scanned_as_their_buckets_have_them(soup: BucketSoup) -> None:
    soup.call("n1", Increment("cnt/k", 5, "all"))
    page = soup.call("n3", Scan("", "", 3, "quorum"))
    assert isinstance(page, Scanned)
    assert page.items[0] == ("cnt/k", FoundCount(page.id, 5))
    assert [key for key, _ in page.items] == ["cnt/k", "other", KEYS[0]]


def test_one_node_less_is_no_matter_and_two_are_said_to_be_missing(soup: BucketSoup) -> None:
    soup.isolate("n5")
    assert keys_of(pages(soup, "user/", 1000, "quorum")) == KEYS
    soup.isolate("n4", "n5")
    failed = soup.call("n1", Scan("user/", "", 1000, "quorum"))
    assert isinstance(failed, Failed)
    assert failed.code == "unavailable"
    assert failed.text.startswith("3 of 5 nodes answered in time; ")
    assert keys_of(pages(soup, "user/", 1000, "one")) == KEYS


def test_a_scan_of_large_values_is_cut_into_pages_that_fit(soup: BucketSoup) -> None:
    for number in range(6):
        soup.call("n1", Put(f"large/{number}", bytes(800_000), "one"))
    soup.quiesce()
    found = pages(soup, "large/", 100, "quorum")
    assert [len(page.items) for page in found] == [2, 2, 2]


def test_only_up_to_where_the_first_node_stopped_are_the_keys_complete() -> None:
    heard = {
        "n1": Listed(1, ("a", "c", "e"), True, 4),
        "n2": Listed(1, ("b", "c"), False, 2),
        "n3": Listed(1, ("d", "f"), False, 2),
    }
    assert _merged(heard, 10) == (["a", "b", "c", "d", "e"], True)
    assert _merged(heard, 2) == (["a", "b"], True)
    assert _merged({"n2": heard["n2"]}, 2) == (["b", "c"], False)


def test_a_prefix_concerns_the_buckets_that_it_may_meet(soup: BucketSoup) -> None:
    place = soup.nodes["n1"].placement
    assert place is not None
    assert replica_counts(place, "two/k") == [2]
    assert replica_counts(place, "user/") == [3]
    assert replica_counts(place, "t") == [2, 3]


def test_preference_lists_are_all_that_the_ring_has() -> None:
    ring = Ring(["n1", "n2", "n3", "n4", "n5"], 64)
    lists = preference_lists(ring, 3)
    assert len(lists) == len(set(lists)) == 10
    assert all(tuple(sorted(ring.preference(f"k{number}", 3))) in lists for number in range(500))


def test_one_value_that_alone_fills_an_answer_is_given_alone(soup: BucketSoup) -> None:
    assert DATUM_BYTES_MAX == 2 * 1_048_576
    for number in range(2):
        soup.call("n1", Put(f"large/{number}", bytes(1_048_576), "one"))
    soup.quiesce()
    assert [len(page.items) for page in pages(soup, "large/", 100, "one")] == [1, 1]
