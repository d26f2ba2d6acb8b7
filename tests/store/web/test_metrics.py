"""What is counted of requests, and how Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from store.core.messages import ChangeElements, Done, Failed, Found, Get, Put, Request, Status
from store.web.metrics import BUCKETS_S, Metrics, exposition

MS = 1_000_000


def samples(metrics: Metrics, status: dict[str, object]) -> dict[tuple[str, ...], float]:
    """(name, labels' values in the labels' order ...): value."""
    page = exposition(metrics, status).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_requests_are_counted_by_what_was_asked_the_level_and_the_outcome() -> None:
    metrics = Metrics()
    for number, (body, answer) in enumerate(
        [
            (Get("k", "one"), Found(1, b"")),
            (Get("k", "r=1,w=2"), Found(1, b"")),
            (Put("k", b"", "all"), Failed(1, "timeout", "")),
            (ChangeElements("k", (), (), "quorum"), Done(1)),
            (Status(), Done(1)),
        ]
    ):
        metrics.asked(number, Request(1, 100, body), 0)
        metrics.answered(number, answer, 3 * MS)
    found = samples(metrics, {})
    name = "stormcellar_requests_total"
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, "one", "get", "ok"): 1,
        (name, "explicit", "get", "ok"): 1,
        (name, "all", "put", "timeout"): 1,
        (name, "quorum", "change_elements", "ok"): 1,
        (name, "", "status", "ok"): 1,
    }


def test_latencies_fall_into_buckets_and_their_sum_is_kept() -> None:
    metrics = Metrics()
    for number, milliseconds in enumerate((0.5, 0.6, 3, 20_000)):
        metrics.asked(1, Request(number, 100, Get("k", "one")), 0)
        metrics.answered(1, Found(number, None), int(milliseconds * MS))
    found = samples(metrics, {})
    name = "stormcellar_request_seconds_bucket"
    assert found[name, "0.0005", "get"] == 1
    assert found[name, "0.001", "get"] == 2
    assert found[name, "0.005", "get"] == 3
    assert found[name, str(BUCKETS_S[-1]), "get"] == 3
    assert found[name, "+Inf", "get"] == 4
    assert found["stormcellar_request_seconds_count", "get"] == 4
    assert abs(found["stormcellar_request_seconds_sum", "get"] - 20.0041) < 1e-9


def test_what_a_client_no_longer_waits_for_is_abandoned_and_forgotten() -> None:
    metrics = Metrics()
    metrics.asked(1, Request(1, 100, Get("k", "one")), 0)
    metrics.gone(1)
    metrics.answered(1, Found(1, b""), 5)
    metrics.gone(2)
    assert dict(metrics.outcomes) == {(Get, "one", "abandoned"): 1}
    assert metrics._open == {}


def test_a_status_becomes_gauges_counters_and_states() -> None:
    metrics = Metrics()
    metrics.happened("link-up")
    members = {"n1": {"state": "alive"}, "n2": {"state": "dead"}, "n3": {"state": "alive"}}
    status = {
        "node": "n1", "layout": "ab", "epoch": 3, "disk_full": False, "links_up": ["n2"], "birth": 12345,
        "messages_dropped": 7, "members": members, "nodes": ["n1", "n2", "n3"], "partitioned_since": None,
        "stores": {"data": 4, "words": "x"}, "ranges_with_quorum": "3 of 4",
        "hints": {"held": {"n2": 3, "n3": 4}, "delivered": 9},
        "repair": {"equal_ms_ago": {"n2": 30, "n3": 40}, "not_compared": ["n4"]},
        "scrub": {"not_mended": {"v/k": "no other copy"}}, "inquiries_answered": 5,
    }  # fmt: skip
    found = samples(metrics, status)
    assert found["stormcellar_node_info", "ab", "n1"] == 1
    assert found["stormcellar_epoch",] == 3
    assert found["stormcellar_disk_full",] == 0
    assert found["stormcellar_links_up",] == 1
    assert found["stormcellar_messages_dropped_total",] == 7
    assert found["stormcellar_members", "alive"] == 2
    assert found["stormcellar_members", "dead"] == 1
    assert found["stormcellar_members", "suspect"] == 0
    assert found["stormcellar_stores", "data"] == 4
    assert found["stormcellar_partitioned",] == 0
    assert found["stormcellar_ranges_with_quorum",] == 3
    assert found["stormcellar_ranges_with_quorum_of",] == 4
    assert found["stormcellar_hints", "held"] == 7
    assert found["stormcellar_hints", "delivered"] == 9
    assert found["stormcellar_repair", "equal_ms_ago"] == 40
    assert found["stormcellar_repair", "not_compared"] == 1
    assert found["stormcellar_scrub", "not_mended"] == 1
    assert found["stormcellar_events_total", "link-up"] == 1
    assert not any("birth" in key[0] for key in found)
