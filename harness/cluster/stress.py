"""What stressed processors and memory showed, as evidence; and the stress of the machine we run on ourselves.

The hand's operations (`harness/hand/stress.py`) do it on hosts, and in this process for the cluster `local`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from harness.cluster.base import ClusterError, Evidence
from harness.hand import stress
from harness.hand.context import Context, Refused
from harness.hand.undo import UndoLog

SHARED_BYTES_MAX: Final = 1 << 30
"""How much memory of a machine that is not only ours is taken, at the most and in all."""

Answers = Mapping[str, Mapping[str, Any]]
"""What a hand answered, by node."""


def burnt(answers: Answers, others: list[str]) -> Evidence:
    """It bit if every process that was started for it got to use a processor."""
    parts = []
    bit = bool(answers)
    for node, answer in answers.items():
        used = answer["cpu_ms"]
        bit = bit and len(used) == answer["processes"] and all(ms > 0 for ms in used)
        words = f"{node} {len(used)} busy processes, {sum(used):.0f} ms of processor so far"
        if answer["slowdown"] is not None:
            words += f", work is {answer['slowdown']:.1f} times as slow"
        parts.append(words)
    return Evidence(bit, "; ".join(parts) + _felt(others))


def hogged(answers: Answers, others: list[str]) -> Evidence:
    """It bit if most of what was wanted is held everywhere. What takes longer is seen when it ends."""
    parts = [
        f"{node} {_mib(answer['held_bytes'])} held of {_mib(answer['wanted_bytes'])}, available were "
        f"{_mib(answer['available_bytes'][0])}"
        for node, answer in answers.items()
    ]
    bit = bool(answers) and all(_mostly(answer) for answer in answers.values())
    return Evidence(bit, "; ".join(parts) + _felt(others))


def relaxed(answers: Answers) -> Evidence:
    """It bit if what is ended now had an effect until then, and nothing of it is left."""
    parts = []
    left = 0
    bit = True
    for node, answer in answers.items():
        for kind, ended in answer["ended"].items():
            left += ended["left"]
            if kind == "cpu":
                had = f"{ended['cpu_ms'] / 1000:.1f} s of processor"
                bit = bit and ended["cpu_ms"] > 0
            else:
                had = f"{_mib(ended['held_bytes'])} held of {_mib(ended['wanted_bytes'])}"
                bit = bit and _mostly(ended)
            gone = f", {ended['ended_before']} processes were gone already" if ended["ended_before"] else ""
            parts.append(f"{node} {had} in {ended['lasted_s']:.1f} s{gone}")
    detail = f"processes left: {left}; ended: {'; '.join(parts) or 'none'}"
    return Evidence(bit and bool(parts) and not left, detail)


class OwnStress:
    """Implements `Stress` where all nodes run on this machine."""

    nodes: tuple[str, ...]
    _stress: Context | None = None

    def open_stress(self, home: Path) -> None:
        """`home` is a directory of ours, to write down there what must be undone."""
        self._stress = Context(home, UndoLog(home / "undo.jsonl"))

    async def burn_cpu(self, nodes: tuple[str, ...]) -> Evidence:
        return burnt(await self._do("stress-cpu", nodes, {}), self._others(nodes))

    async def hog_memory(self, nodes: tuple[str, ...], fraction: float) -> Evidence:
        args = {"fraction": fraction, "bytes_max": SHARED_BYTES_MAX}
        return hogged(await self._do("stress-memory", nodes, args), self._others(nodes))

    async def relax(self) -> Evidence:
        return relaxed(await self._do("stress-end", self.nodes, {}))

    async def _do(self, operation: str, nodes: tuple[str, ...], args: dict[str, Any]) -> Answers:
        """Once, whichever the nodes are."""
        if self._stress is None or not nodes:
            return {}
        try:
            act = partial(stress.OPERATIONS[operation], self._stress, args)
            return {"+".join(nodes): await trio.to_thread.run_sync(act)}
        except Refused as refused:
            raise ClusterError(f"{nodes[0]}: {refused}") from None

    def _others(self, nodes: tuple[str, ...]) -> list[str]:
        return [node for node in self.nodes if node not in nodes]


def _felt(others: list[str]) -> str:
    return f"; felt by {', '.join(others)}, too, which share the machine" if others else ""


def _mostly(answer: Mapping[str, Any]) -> bool:
    return bool(answer["held_bytes"] >= answer["wanted_bytes"] / 2)


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
