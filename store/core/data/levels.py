"""Consistency levels: how many replicas must answer a read or a write, or that there is one order of all.

With R + W > N a read meets every completed write (Gifford 1979); that alone is not linearizability: writes
that reached only some replicas, and skewed clocks, still show. A sloppy level counts nodes that stand in for
a replica (Dynamo, section 4.6): it stays available, and gives up that a read meets every completed write.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

NAMES = {
    "one": "the first replica that answers (R=1, W=1); available on every side of a partition",
    "quorum": "a majority of the replicas reads and writes (R+W>N); last write wins",
    "all": "every replica reads and writes (R=N, W=N)",
    "linearizable": "one order of all operations on a key, by CASPaxos; the only level that has cas",
}
"""The named levels, with a line of help each. `r=R,w=W` names the rest; all but linearizable may end in
`SLOPPY`."""

SLOPPY = ",sloppy"
"""Healthy nodes stand in for replicas that do not answer, and hand over what they kept for them later."""

ALLOWED = "one, quorum, all, r=R,w=W with 1 <= R, W <= replicas (each also with ,sloppy), or linearizable"

_EXPLICIT = re.compile(r"(?:r=(\d{1,3}))?(?:(?:(?<=\d),|^)w=(\d{1,3}))?", re.ASCII)


class LevelError(ValueError):
    """No such level; the message names it and what is allowed."""


class Level(NamedTuple):
    """`reads` and `writes`: how many replicas must answer. For `linearizable` both are a majority."""

    reads: int
    writes: int
    linearizable: bool = False
    sloppy: bool = False


@lru_cache(maxsize=1024)
def parse_level(spec: str, replication: int) -> Level:
    """The level that `spec` names among `replication` replicas; a part of `r=R,w=W` that is left out is a
    majority. Raises `LevelError`."""
    majority = replication // 2 + 1
    strict = spec.removesuffix(SLOPPY)
    sloppy = strict != spec
    match strict:
        case "one":
            return Level(1, 1, sloppy=sloppy)
        case "quorum":
            return Level(majority, majority, sloppy=sloppy)
        case "all":
            return Level(replication, replication, sloppy=sloppy)
        case "linearizable" if not sloppy:
            return Level(majority, majority, linearizable=True)
    found = _EXPLICIT.fullmatch(strict) if strict else None
    if found is None:
        raise LevelError(f"level {spec!r} is not one of: {ALLOWED}")
    reads, writes = (majority if count is None else int(count) for count in found.groups())
    if not (1 <= reads <= replication and 1 <= writes <= replication):
        raise LevelError(f"level {spec!r} needs 1 <= R, W <= {replication}, the number of replicas")
    return Level(reads, writes, sloppy=sloppy)
