"""`harness demo pacelc`: if there is no partition, what is paid in latency for consistency (Abadi 2012).

Three regions with the distances of real ones, clients in each; every level, with the replicas placed in three
ways. What a weaker level saves in time it pays in stale reads, and both are told for each region.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table

from harness import catalog
from harness.demo.base import Claim, Conditions, Demo, Shown
from harness.demo.regions import LEVELS, PLACEMENTS, REGIONS, Figures, assemble, measure, round_trip_ms

SPREAD = "one in each"
HOME = "all in eu"
STRONG = ("quorum", "all", "linearizable")

TEXT = """\
Three regions (Frankfurt, Virginia, Sydney: 90, 200 and 260 ms from each other), clients in each, no
fault at all: latency of reads and writes at each level, with the replicas in every region, in two,
or in one; and the stale reads that a fast answer costs.

examples:
  harness demo pacelc                     simulated: seconds, and the same figures for the same seed
  harness demo pacelc --assert --seed 1   as a test
  harness demo pacelc --cluster local     real processes, a proxy on every link: minutes
  harness demo pacelc --cluster ssh --nodes-file hosts    real hosts, by netem"""


def run(conditions: Conditions) -> Shown:
    rows: list[Figures] = []
    for placement in PLACEMENTS:
        for level in LEVELS:
            conditions.tell(f"{placement}, {level} ...")
            rows += measure(placement, level, conditions)
    parts: list[RenderableType] = [_table(rows), "", *prose(rows)]
    return Shown(parts, {"rows": [row._asdict() for row in rows]}, claims(rows))


def of(rows: Sequence[Figures], placement: str, level: str) -> list[Figures]:
    """A line for each region, in their order."""
    return [row for row in rows if (row.placement, row.level) == (placement, level)]


def nearest_ms(region: str) -> int:
    """From a region to the nearest other one and back."""
    return min(round_trip_ms(region, other) for other in REGIONS if other != region)


def farthest_ms(region: str) -> int:
    return max(round_trip_ms(region, other) for other in REGIONS)


def claims(rows: Sequence[Figures]) -> list[Claim]:
    one, quorum = of(rows, SPREAD, "one"), of(rows, SPREAD, "quorum")
    everybody, register = of(rows, SPREAD, "all"), of(rows, SPREAD, "linearizable")
    strong = [row for row in rows if row.level in STRONG]
    weak_stale = sum(row.stale for row in one)
    home = {row.region: row for row in of(rows, HOME, "linearizable")}
    return [
        Claim(
            "with a replica in each region, `one` answers at home, before another region could",
            _medians(one),
            all(max(row.read_p50, row.write_p50) < nearest_ms(row.region) for row in one),
        ),
        Claim("and serves stale values meanwhile", f"{weak_stale} stale reads", weak_stale > 0),
        Claim(
            "`quorum` and `linearizable` wait for the nearest other region, reading and writing",
            _medians([*quorum, *register]),
            all(min(row.read_p50, row.write_p50) >= nearest_ms(row.region) for row in (*quorum, *register)),
        ),
        Claim(
            "`all` waits for the farthest one",
            _medians(everybody),
            all(min(row.read_p50, row.write_p50) >= farthest_ms(row.region) for row in everybody),
        ),
        Claim(
            "where reads and writes overlap, nobody reads a stale value",
            f"{sum(row.stale for row in strong)} of {sum(row.reads for row in strong):,}",
            not any(row.stale for row in strong),
        ),
        Claim(
            "with all replicas in one region it is the clients who travel: fast there, far from elsewhere",
            _medians(list(home.values())),
            home["eu"].write_p50 < nearest_ms("eu")
            and all(home[far].read_p50 >= round_trip_ms(far, "eu") for far in REGIONS if far != "eu"),
        ),
        Claim(
            "nothing is refused but where proposals for one key collide, at `linearizable`",
            f"{sum(row.refused for row in rows)} refused",
            not any(row.refused for row in rows if row.level != "linearizable"),
        ),
    ]


def _medians(rows: Sequence[Figures]) -> str:
    return ", ".join(f"{row.level} {row.region} {row.read_p50:.0f}/{row.write_p50:.0f} ms" for row in rows)


def prose(rows: Sequence[Figures]) -> list[str]:
    one, quorum = of(rows, SPREAD, "one"), of(rows, SPREAD, "quorum")
    stale, reads = sum(row.stale for row in one), sum(row.reads for row in one)
    oldest_ms = max(row.oldest_ms for row in one)
    dearest = max(of(rows, SPREAD, "linearizable"), key=lambda row: row.write_p50)
    near, far = quorum[0], quorum[-1]
    return [
        f"With a replica in each region, a read at quorum took {near.read_p50:.0f} ms in {near.region} and "
        f"{far.read_p50:.0f} ms in {far.region} (medians); at one, {one[0].read_p50:.1f} and "
        f"{one[-1].read_p50:.1f} ms, and {stale} of {reads:,} reads were stale, by up to {oldest_ms:.0f} ms.",
        f"The dearest was a linearizable write from {dearest.region}: {dearest.write_p50:.0f} ms, "
        f"{dearest.write_p99:.0f} at the 99th percentile.",
    ]


def _table(rows: Sequence[Figures]) -> Table:
    table = Table(
        title=f"No partition, and still a price: latency in ms, and stale reads (of {rows[0].reads} each)",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in ("replicas", "level", "from"):
        table.add_column(column, no_wrap=True)
    for column in ("read p50", "p99", "write p50", "p99 ", "stale", "ms", "refused"):
        table.add_column(column, justify="right", no_wrap=True)
    before = ""
    for row in rows:
        name = f"{row.placement}/{row.level}"
        first = name != before
        placed = row.placement if first and row.level == LEVELS[0] else ""
        times = (row.read_p50, row.read_p99, row.write_p50, row.write_p99)
        table.add_row(
            placed,
            row.level if first else "",
            row.region,
            *(f"{time:.1f}" for time in times),
            str(row.stale) if row.stale else "",
            f"{row.oldest_ms:.0f}" if row.stale else "",
            str(row.refused) if row.refused else "",
            end_section=row.region == REGIONS[-1] and row.level == LEVELS[-1],
        )
        before = name
    return table


DEMO = Demo(
    "pacelc",
    "latency against consistency, with no partition, over three regions",
    TEXT,
    tuple(catalog.CLUSTERS),
    run,
    assemble,
)
