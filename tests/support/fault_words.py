"""How scenarios (tests/support/stage.py) word faults, and what a cluster must be able to do for each.

kill n1 n2                       also start, stop, pause, resume, power-off
cut n1 / n2 n3                   neither side hears the other
cut n1 n2 <- n3                  n1 and n2 do not hear n3; healed by `heal`
cut-clients n1                   healed by `heal-clients`
shape n1 n2 loss=0.4             any field of `Behaviour`; ended by `unshape`
apart n1 n2 100 n2 n3 40         what n1 sends n2 is 100 ms late; ended by `together`
bump n1 5000                     ms; also n1 5000 n2 -300; ended by `reset`, as the next two
strobe n1 500 every 100          ms
drift n1 50000                   ppm
fill n1                          also slow; ended by `mend`
rot n1                           `survey` says what is left
flip n1 *.log 64                 bits; truncate n1 *.log 100 (bytes); roll-back n1 * 1.0 (fraction)
snapshot n1                      restore-files n1
burn n1                          hog n1 0.1 (fraction); ended by `relax`
join s1                          also leave, wipe; replace n1 by s1; ended by `restore`
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from harness.cluster import base
from harness.cluster.base import Behaviour, Cluster, Evidence, Grudge, LateMs
from nemesis.grudge import complete, one_way

SEED: Final = 7
"""Which bits and chunks of files are struck."""
CAPABILITIES: Final = {
    kind.__name__: kind
    for kind in (
        *(
            base.Kill,
            base.Stop,
            base.Pause,
            base.Partition,
            base.ClientPartition,
            base.Packets,
            base.Distances,
        ),
        *(base.Clock, base.Strobe, base.Drift, base.Disk, base.Rot, base.Files, base.Power, base.Stress),
        *(base.Membership, base.Roles),
    )
}
NETEM: Final = "netem"
"""A capability that no method shows: some packets' behaviours take it, where hosts have real kernels."""
WITHOUT_NETEM: Final = {"loss", "rate_kbit"}

Words = list[str]
Fault = Callable[[Any, Words], Coroutine[Any, Any, Evidence]]

FAULTS: Final[dict[str, tuple[str, Fault]]] = {
    "kill": ("Kill", lambda c, w: c.kill(tuple(w))),
    "start": ("Kill", lambda c, w: c.start(tuple(w))),
    "stop": ("Stop", lambda c, w: c.stop(tuple(w))),
    "pause": ("Pause", lambda c, w: c.pause(tuple(w))),
    "resume": ("Pause", lambda c, w: c.resume(tuple(w))),
    "power-off": ("Power", lambda c, w: c.power_off(tuple(w))),
    "cut": ("Partition", lambda c, w: c.cut(_grudge(w))),
    "heal": ("Partition", lambda c, w: c.heal()),
    "cut-clients": ("ClientPartition", lambda c, w: c.cut_clients(tuple(w))),
    "heal-clients": ("ClientPartition", lambda c, w: c.heal_clients()),
    "shape": ("Packets", lambda c, w: c.shape(_nodes(w), Behaviour(**_fields(w)))),
    "unshape": ("Packets", lambda c, w: c.unshape()),
    "apart": ("Distances", lambda c, w: c.set_apart(_late(w))),
    "together": ("Distances", lambda c, w: c.bring_together()),
    "bump": ("Clock", lambda c, w: c.bump(_numbers(w))),
    "reset": ("Clock", lambda c, w: c.reset()),
    "strobe": ("Strobe", lambda c, w: c.strobe(_numbers(w[:-2]), int(w[-1]))),
    "drift": ("Drift", lambda c, w: c.drift(_numbers(w))),
    "fill": ("Disk", lambda c, w: c.fill(tuple(w))),
    "slow": ("Disk", lambda c, w: c.slow(tuple(w))),
    "mend": ("Disk", lambda c, w: c.mend_disks()),
    "rot": ("Rot", lambda c, w: c.rot(tuple(w))),
    "survey": ("Rot", lambda c, w: c.survey()),
    "flip": ("Files", lambda c, w: c.flip((w[0],), w[1], int(w[2]), SEED)),
    "truncate": ("Files", lambda c, w: c.truncate((w[0],), w[1], int(w[2]))),
    "snapshot": ("Files", lambda c, w: c.snapshot(tuple(w))),
    "roll-back": ("Files", lambda c, w: c.roll_back((w[0],), w[1], float(w[2]), SEED)),
    "restore-files": ("Files", lambda c, w: c.restore_files(tuple(w))),
    "burn": ("Stress", lambda c, w: c.burn_cpu(tuple(w))),
    "hog": ("Stress", lambda c, w: c.hog_memory((w[0],), float(w[1]))),
    "relax": ("Stress", lambda c, w: c.relax()),
    "join": ("Membership", lambda c, w: c.join(w[0])),
    "leave": ("Membership", lambda c, w: c.leave(w[0])),
    "replace": ("Membership", lambda c, w: c.replace(w[0], w[2])),
    "wipe": ("Membership", lambda c, w: c.wipe(w[0])),
    "restore": ("Membership", lambda c, w: c.restore()),
}
OTHER_WORDS: Final = {"roles": "Roles"}
HEALINGS: Final = (
    *("heal", "heal-clients", "unshape", "together", "reset", "mend", "relax"),
    *("resume n1 n2 n3 n4", "start n1 n2 n3 n4", "restore"),
)
"""All that ends something, in an order in which it can."""


def requires(words: Sequence[str]) -> frozenset[str]:
    """What a cluster must be able to do to understand an act that begins with these words."""
    first = words[0]
    needed = {FAULTS[first][0]} if first in FAULTS else set()
    if first in OTHER_WORDS:
        needed.add(OTHER_WORDS[first])
    if first == "shape" and not _fields(words).keys() <= WITHOUT_NETEM:
        needed.add(NETEM)
    return frozenset(needed)


def claims(cluster: Cluster) -> frozenset[str]:
    """What the cluster says that it is able to do."""
    return frozenset(name for name, kind in CAPABILITIES.items() if isinstance(cluster, kind))


async def perform(cluster: Cluster, words: Words) -> Evidence:
    return await FAULTS[words[0]][1](cluster, words[1:])


def _nodes(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if "=" not in word)


def _fields(words: Sequence[str]) -> Mapping[str, Any]:
    pairs = [word.partition("=") for word in words if "=" in word]
    return {name: int(value) if name == "rate_kbit" else float(value) for name, _, value in pairs}


def _numbers(words: Words) -> dict[str, int]:
    return {node: int(number) for node, number in zip(words[::2], words[1::2], strict=True)}


def _late(words: Words) -> LateMs:
    late: dict[str, dict[str, float]] = {}
    for source, target, late_ms in zip(words[::3], words[1::3], words[2::3], strict=True):
        late.setdefault(source, {})[target] = float(late_ms)
    return late


def _grudge(words: Words) -> Grudge:
    if "<-" in words:
        at = words.index("<-")
        return one_way(words[:at], words[at + 1 :])
    sides = " ".join(words).split("/")
    return complete(tuple(tuple(side.split()) for side in sides))
