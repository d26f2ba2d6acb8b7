"""The files of nodes are damaged while they do not run: bits turned over, an end cut off, old content back.

Unless a target is asked for, it is always the same node that is struck in a run. So whatever is kept in two
copies or more keeps a good one, and what is kept in three a majority that never forgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Files, Kill
from harness.draw import choice, fork, uniform_int
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.process import start_again
from nemesis.schedule import fault_cycle
from nemesis.targets import SIZES, Target, draw_injection, nodes_of, parse_target, roles_of

KINDS: Final = ("flip", "truncate", "roll-back", "restore")
COPYING: Final = frozenset({"roll-back", "restore"})
"""The kinds that need a snapshot."""
FRACTIONS: Final = (0.1, 0.5, 1.0)
"""Of the chunks that have changed, how many are rolled back."""


class Damage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was chosen, as the value of the operation; `seed` says which bits, or which chunks. `files`: only
    those whose names match."""

    target: str
    nodes: list[str]
    files: str = "*"
    seed: int = 0
    bits: int = 0
    bytes_lost: int = 0
    fraction: float = 0


class FilesFault:
    """`choice` is `KIND[=PATTERN][@TARGET]`; without one, each injection draws a kind."""

    name = "files"
    summary = "damage files of a node: bit flips, a truncated end, old chunks or all of an old copy put back"
    prepares = frozenset({"files-snapshot"})
    begins = frozenset(f"files-{kind}" for kind in KINDS)
    ends = frozenset({"files-start"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        what, at, target = (choice or "").partition("@")
        kind, _, pattern = what.partition("=")
        if choice is not None and kind not in KINDS:
            raise ValueError(
                f"files:{choice}: must be {', '.join(KINDS)}, and after that =PATTERN and @TARGET if you like"
            )
        self._nodes = tuple(nodes)
        self._kinds = KINDS if choice is None else (kind,)
        self._pattern = pattern or "*"
        allowed = parse_target(f"files:{what}", target, (), nodes, roles=True) if at else ()
        self._allowed = allowed
        self.roles = roles_of(allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Files) and isinstance(cluster, Kill)

    def generator(self, interval_s: float, seed: int) -> Generator:
        allowed = self._allowed or (choice(fork(seed, "victim"), self._nodes),)
        struck = [name for target in allowed for name in target.split("+")]
        copied = list(self._nodes if struck[0] in {*SIZES, *self.roles} else struck)
        prepare = nemesis_op("files-snapshot", msgspec.to_builtins(Target("+".join(copied), copied)))

        def inject(draw: int) -> Op:
            kind = choice(fork(draw, "kind"), self._kinds)
            return draw_injection(self, f"files-{kind}", allowed, self._nodes, fork(draw, "target"))

        needed = COPYING.intersection(self._kinds)
        return fault_cycle(interval_s, seed, inject, self.healing(), prepare if needed else None)

    def healing(self) -> Op:
        return nemesis_op("files-start", msgspec.to_builtins(Target("all", list(self._nodes))))

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Files) or not isinstance(cluster, Kill):
            raise unsupported(self.name, cluster)
        match op.f:
            case "files-start":
                return await start_again(op, cluster)
            case "files-snapshot":
                return await cluster.snapshot(nodes_of(op))
        damage = msgspec.convert(op.value, Damage)
        nodes, files, seed = tuple(damage.nodes), damage.files, damage.seed
        match op.f:
            case "files-flip":
                return await cluster.flip(nodes, files, damage.bits, seed)
            case "files-truncate":
                return await cluster.truncate(nodes, files, damage.bytes_lost)
            case "files-roll-back":
                return await cluster.roll_back(nodes, files, damage.fraction, seed)
        return await cluster.restore_files(nodes)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        damage = Damage(target.target, target.nodes, self._pattern, seed)
        match f:
            case "files-flip":
                damage = msgspec.structs.replace(damage, bits=1 << uniform_int(fork(seed, "bits"), 8))
            case "files-truncate":
                lost = 1 << uniform_int(fork(seed, "bytes"), 14)
                damage = msgspec.structs.replace(damage, bytes_lost=lost)
            case "files-roll-back":
                fraction = choice(fork(seed, "fraction"), FRACTIONS)
                damage = msgspec.structs.replace(damage, fraction=fraction)
        return nemesis_op(f, msgspec.to_builtins(damage))
