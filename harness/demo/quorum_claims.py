"""What `harness demo quorum` claims of every storm."""

from __future__ import annotations

from collections.abc import Sequence

from harness.demo.base import Claim
from harness.demo.quorum_measure import Row


def claims(rows: Sequence[Row]) -> list[Claim]:
    strict = [row for row in rows if row.strict]
    apart = [row for row in rows if not row.overlaps]
    made = [
        _bit(rows),
        _none("R + W > N, replicas alone, clocks right: no read is stale", strict, "stale"),
        _none("R + W > N, replicas alone, clocks right: no acknowledged write is lost", strict, "lost"),
        _some("R + W <= N: some reads are stale", apart, "stale"),
        _some("R + W > N all the same: failed writes were read later", strict, "surfaced"),
        _some("R + W > N all the same: reads took back what others had read", strict, "took_back"),
        _not_linearizable(strict),
    ]
    for n in sorted({row.n for row in rows}):
        majority = next(row for row in rows if row.n == n and row.strict and row.r == row.w == n // 2 + 1)
        sloppy = next(row for row in rows if row.n == n and row.sloppy)
        made += [
            _more_available(n, sloppy, majority),
            *_dearer(n, [row for row in rows if row.n == n and not row.sloppy and not row.bent]),
        ]
    for text, others in (
        ("stand-ins", [row for row in rows if row.sloppy]),
        ("bent clocks", [row for row in rows if row.bent]),
    ):
        made.append(_some(f"{text}: R + W > N, and some reads are stale", others, "stale"))
    made.append(_converge(rows))
    return made


def _bit(rows: Sequence[Row]) -> Claim:
    least = min(min(row.bitten.values(), default=0) for row in rows)
    return Claim("each fault of the storm bit in every row", f"at least {least} times", least > 0)


def _none(text: str, rows: Sequence[Row], count: str) -> Claim:
    total = sum(getattr(row, count) for row in rows)
    return Claim(text, f"{total} in {len(rows)} rows", total == 0)


def _some(text: str, rows: Sequence[Row], count: str) -> Claim:
    total = sum(getattr(row, count) for row in rows)
    return Claim(text, f"{total} in {len(rows)} row{'s' * (len(rows) > 1)}", total > 0)


def _not_linearizable(rows: Sequence[Row]) -> Claim:
    broken = sum(row.linearizable is False for row in rows)
    text = "R + W > N all the same: not every history is linearizable"
    return Claim(text, f"{broken} of {len(rows)} are not", broken > 0)


def _more_available(n: int, sloppy: Row, majority: Row) -> Claim:
    return Claim(
        f"N={n}: stand-ins serve more writes than replicas alone",
        f"{sloppy.writes.fraction:.1%} against {majority.writes.fraction:.1%}",
        sloppy.writes.fraction > majority.writes.fraction,
    )


def _dearer(n: int, rows: Sequence[Row]) -> list[Claim]:
    """One replica against all of them."""
    found = []
    for kind in ("reads", "writes"):
        few = max((getattr(row, kind).fraction for row in rows if _asked(row, kind) == 1), default=0.0)
        many = [getattr(row, kind).fraction for row in rows if _asked(row, kind) == n]
        text = f"N={n}: fewer {kind} are served by all replicas than by one"
        found.append(Claim(text, f"{min(many):.1%} against {few:.1%}", max(many) < few))
    return found


def _asked(row: Row, kind: str) -> int:
    return row.r if kind == "reads" else row.w


def _converge(rows: Sequence[Row]) -> Claim:
    equal = sum(row.equal for row in rows)
    return Claim("all copies become equal after the storm", f"{equal} of {len(rows)}", equal == len(rows))
