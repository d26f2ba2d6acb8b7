"""What one node has done and how long it took, in the Prometheus text format.

Counting is a few operations a request, because it stands in the way of each; everything else is made when
somebody scrapes. Labels come from closed sets, so clients cannot make new series.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from store.core.data.levels import NAMES, SLOPPY
from store.core.messages import Body, Failed, Request, Response

PREFIX: Final = "stormcellar_"
LEVELS: Final = frozenset({"", *NAMES, *(name + SLOPPY for name in NAMES)})
"""The levels that have a label of their own; "": of what has no level."""
EXPLICIT: Final = "explicit"
"""The label of the others, `r=R,w=W`."""
BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_COUNTERS: Final[Mapping[str, str]] = {
    "messages_dropped": "Messages to other nodes that were dropped because a link was down or full.",
    "disk_commits": "Synced writes to the disk, of one or more records each.",
    "disk_records": "Records that were written.",
    "disk_bytes": "Bytes of records that were written.",
    "bytes_sent": "Bytes sent to other nodes.",
    "bytes_received": "Bytes received from other nodes.",
}
"""Those values of a status that only grow while the node runs; the other numbers are gauges."""
_NOT_SHOWN: Final = frozenset(
    {
        *("birth", "wall_ms", "members", "partitioned_since"),
        *("requests_served", "requests_failed", "inquiries_answered"),
    }
)
"""Not a measure of anything, or shown here in more detail."""
_PART: Final = re.compile(r"([0-9]+) of ([0-9]+)")
STATES: Final = ("alive", "suspect", "dead", "left")


class Latencies:
    """A histogram: how many took at most so long, by `BUCKETS_S`, and the sum."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """As Prometheus has it: (upper bound, how many up to it)."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows


class Metrics:
    """The driver tells of each request when it comes and when it is answered. `now` is monotonic, in ns."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, tuple[type[Body], str, int]]] = {}
        self.outcomes: Counter[tuple[type[Body], str, str]] = Counter()
        self.latencies: dict[type[Body], Latencies] = {}
        self.events: Counter[str] = Counter()

    def asked(self, client: int, request: Request, now: int) -> None:
        body = request.body
        level = getattr(body, "level", "")
        self._open.setdefault(client, {})[request.id] = (type(body), level, now)

    def answered(self, client: int, response: Response, now: int) -> None:
        waiting = self._open.get(client)
        asked = None if waiting is None else waiting.pop(response.id, None)
        if asked is None:
            return
        kind, level, since = asked
        outcome = response.code if isinstance(response, Failed) else "ok"
        self.outcomes[kind, level if level in LEVELS else EXPLICIT, outcome] += 1
        latencies = self.latencies.get(kind)
        if latencies is None:
            latencies = self.latencies[kind] = Latencies()
        latencies.add((now - since) / 1e9)

    def gone(self, client: int) -> None:
        """Whatever the client still waited for is answered to nobody."""
        for kind, level, _ in self._open.pop(client, {}).values():
            self.outcomes[kind, level if level in LEVELS else EXPLICIT, "abandoned"] += 1

    def happened(self, kind: str) -> None:
        self.events[kind] += 1


def exposition(metrics: Metrics, status: Mapping[str, Any]) -> bytes:
    """All that is known, as Prometheus scrapes it (text format 0.0.4)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(metrics, status))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, metrics: Metrics, status: Mapping[str, Any]) -> None:
        self._metrics = metrics
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._metrics)
        yield from _of_status(self._status)


def _requests(metrics: Metrics) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        PREFIX + "requests",
        "Requests by what was asked, level and outcome (ok, a failure's code, or abandoned by its client).",
        labels=["op", "level", "outcome"],
    )
    for (kind, level, outcome), count in metrics.outcomes.items():
        requests.add_metric([_op(kind), level, outcome], count)
    yield requests
    seconds = HistogramMetricFamily(
        PREFIX + "request_seconds", "From a request's arrival to its answer.", labels=["op"]
    )
    for kind, latencies in metrics.latencies.items():
        seconds.add_metric([_op(kind)], latencies.cumulated(), latencies.sum_s)
    yield seconds
    events = CounterMetricFamily(PREFIX + "events", "What the node has noticed, by kind.", labels=["kind"])
    for event, count in metrics.events.items():
        events.add_metric([event], count)
    yield events


def _of_status(status: Mapping[str, Any]) -> Iterator[Metric]:
    """Numbers and truths as they are; a list by its length; of a map, each part by its name; "3 of 4" by both
    numbers."""
    if "members" in status:
        yield _members(status["members"])
    if "partitioned_since" in status:
        text = "Whether an owner is out of sight."
        since_ms = status["partitioned_since"]
        yield GaugeMetricFamily(PREFIX + "partitioned", text, value=since_ms is not None)
    info = {name: str(status[name]) for name in ("node", "cluster", "layout") if name in status}
    yield InfoMetricFamily(PREFIX + "node", "Which node this is.", value=info)
    for name, value in status.items():
        help_text = _COUNTERS.get(name, f"{name.replace('_', ' ').capitalize()}, as in the node's status.")
        if name in _NOT_SHOWN:
            continue
        if name in _COUNTERS:
            yield CounterMetricFamily(PREFIX + name, help_text, value=value)
        elif isinstance(value, int | float):
            yield GaugeMetricFamily(PREFIX + name, help_text, value=value)
        elif isinstance(value, str) and (part := _PART.fullmatch(value)):
            yield GaugeMetricFamily(PREFIX + name, help_text, value=int(part[1]))
            yield GaugeMetricFamily(f"{PREFIX}{name}_of", "How many there are.", value=int(part[2]))
        elif isinstance(value, list):
            yield GaugeMetricFamily(PREFIX + name, help_text, value=len(value))
        elif isinstance(value, dict):
            yield from _of_map(PREFIX + name, help_text, value)


def _members(members: Mapping[str, Mapping[str, Any]]) -> Metric:
    counts = Counter([member["state"] for member in members.values()])
    family = GaugeMetricFamily(
        PREFIX + "members", "Known nodes by what is believed of them.", labels=["state"]
    )
    for state in STATES:
        family.add_metric([state], counts[state])
    return family


def _of_map(name: str, help_text: str, values: Mapping[str, Any]) -> Iterator[Metric]:
    numbers = {key: number for key, value in values.items() if (number := _measure(key, value)) is not None}
    if numbers:
        family = GaugeMetricFamily(name, help_text, labels=["name"])
        for key, number in numbers.items():
            family.add_metric([key], number)
        yield family


def _measure(name: str, value: Any) -> float | None:
    """Of figures by node their sum, or the greatest age; of anything else by name, and of lists, how many."""
    match value:
        case int() | float():
            return value
        case list():
            return len(value)
        case dict() if value and all(isinstance(each, int | float) for each in value.values()):
            return max(value.values()) if name.endswith("_ago") else sum(value.values())
        case dict():
            return len(value)
    return None


def _op(kind: type[Body]) -> str:
    """`ChangeElements` is `change_elements`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)[1:]
