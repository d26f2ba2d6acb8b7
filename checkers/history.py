"""The history: what was asked, when, and what was answered.

An operation is one `invoke` and, later, at most one completion by the same process: `ok` (it happened),
`fail` (it certainly did not) or `info` (either, at any later time: concurrent with everything to the end).
These are Jepsen's semantics (jepsen.history, jepsen.core), so that its users' knowledge carries over.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

NEMESIS = "nemesis"
"""The process that injects faults; its operations are `info` at both ends."""

Type = Literal["invoke", "ok", "fail", "info"]


class Op(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of a history.

    `index` counts events from 0, `time` is nanoseconds since the start of the run on a monotonic clock
    (-1: not recorded). `process` is a logical single-threaded client, or `NEMESIS`. `key` names the
    independent object that the operation is about, or is None where there is only one.
    """

    index: int = -1
    time: int = -1
    process: int | str = -1
    type: Type = "invoke"
    f: str = ""
    key: str | None = None
    value: Any = None
    error: Any = None
