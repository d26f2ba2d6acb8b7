"""Counts, latencies and throughput of a history, against figures made by hand and a naive count."""

from hypothesis import given
from hypothesis import strategies as st

from checkers.history import NEMESIS, Op
from harness.report import perf

MS = 1_000_000


def test_operations_are_counted_by_kind_and_only_ok_ones_are_timed():
    read, write = perf.kinds(
        [
            Op(time=0, process=0, f="read"),
            Op(time=0, process=1, f="write"),
            Op(time=0, process=2, f="read"),
            Op(time=0, process=NEMESIS, f="kill"),
            Op(time=2 * MS, process=0, type="ok", f="read"),
            Op(time=3 * MS, process=0, f="read"),
            Op(time=7 * MS, process=0, type="ok", f="read"),
            Op(time=9 * MS, process=1, type="info", f="write"),
            Op(time=9 * MS, process=5, f="write"),
            Op(time=9 * MS, process=5, type="fail", f="write"),
        ]
    )
    assert read == perf.Kind("read", total=3, ok=2, fail=0, info=1, latencies_ms=(2.0, 4.0))
    assert write == perf.Kind("write", total=2, ok=0, fail=1, info=1, latencies_ms=())
    assert perf.together([read, write], "all") == perf.Kind("all", 5, 2, 1, 2, (2.0, 4.0))


def test_a_history_without_times_has_counts_but_no_latencies():
    history = [Op(process=0, f="read"), Op(process=0, type="ok", f="read")]
    assert perf.kinds(history) == [perf.Kind("read", 1, 1, 0, 0, ())]
    assert perf.duration_s(history) == 0.0
    assert perf.duration_s([]) == 0.0


def test_latencies_are_nearest_rank_quantiles():
    kind = perf.Kind("read", 4, 4, 0, 0, (1.0, 2.0, 3.0, 40.0))
    assert [kind.latency_ms(q) for q in (0.5, 0.75, 0.99, 1.0)] == [2.0, 3.0, 40.0, 40.0]
    assert perf.Kind("read", 4, 0, 4, 0, ()).latency_ms(0.5) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 60_000), st.sampled_from(["invoke", "ok", "fail", "info"])), min_size=1
    ),
    st.integers(1, 200),
)
def test_every_completion_falls_in_one_bucket(events, columns):
    history = [Op(time=at * MS, process=i, type=type_, f="read") for i, (at, type_) in enumerate(events)]
    flow = perf.throughput(history, 60.0, columns)
    for outcome in perf.OUTCOMES:
        counts = getattr(flow, outcome)
        assert sum(counts) == sum(type_ == outcome for _, type_ in events)
        assert len(counts) <= columns
        assert len(counts) * flow.bucket_s >= 60.0 - 1e-6


def test_buckets_are_never_finer_than_a_tenth_of_a_second():
    flow = perf.throughput([Op(time=950 * MS, process=0, type="ok", f="read")], 1.0, 100)
    assert flow.bucket_s == 0.1
    assert flow.ok == (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
