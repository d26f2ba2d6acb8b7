"""`make bench`, or `python -m benchmarks [NAME ...]`: every benchmark, each with a table of its own."""

from __future__ import annotations

import sys

from rich.console import Console

from benchmarks import bench_store, checkers, collections, faults, gossip, linear, ring, simulator

BENCHMARKS = {
    "linear": linear.table,
    "checkers": checkers.table,
    "collections": collections.table,
    "simulator": simulator.table,
    "store": bench_store.table,
    "gossip": gossip.tables,
    "ring": ring.tables,
    "faults": faults.tables,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 254
    for name in names or BENCHMARKS:
        Console().print(BENCHMARKS[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
