"""Before a run does anything to its hosts: is everything there that it needs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cluster.base import ClusterError
from harness.doctor.examine import examine, problems
from harness.remote.connection import Connection


async def preflight(faults: Sequence[str], connections: Mapping[str, Connection]) -> None:
    """`faults` as asked for, `NAME` or `NAME:CHOICE`; the hosts by their nodes' names. Raises `ClusterError`
    with a sentence for each thing that is missing: the host, what, and the command that mends it."""
    missing = problems(await examine(connections, faults, deep=False))
    if missing:
        raise ClusterError("; ".join(missing))
