"""What every driver of the store's core must do, as lines for tests/support/stage.py. The nodes are n1 to n4,
and n1, n2 and n3 keep every key; n4 only coordinates.

Where nodes talk by TCP, a link that is cut one way soon stands still in both directions, as what is sent is
not acknowledged any more. So whoever is to be heard over it is frozen before, and speaks at once afterwards.
"""

from __future__ import annotations

from tests.support.stage import NODES, Scenario

LEVELS = ("one", "quorum", "all", "r=2,w=2", "linearizable")
ALL = "n1 n2 n3 n4"


def _every_level_from_every_node() -> list[str]:
    lines = []
    for level in LEVELS:
        for node, reader in zip(NODES, (*NODES[1:], NODES[0]), strict=True):
            key = f"{''.join(filter(str.isalnum, level))}{node}"
            arrow = "~>" if level == "one" else "->"
            lines += [
                f"{node} get {key} {level} -> absent",
                f"{node} put {key} 1 {level} -> done",
                f"{reader} get {key} {level} {arrow} 1",
                f"{reader} put {key} 2 {level} -> done",
                f"{node} get {key} {level} {arrow} 2",
                f"{node} delete {key} {level} -> done",
                f"{reader} get {key} {level} {arrow} absent",
                f"{reader} delete {key} {level} -> done",
            ]
    return lines


def survives(end: str) -> Scenario:
    """What was acknowledged, at any level, is there after every node was ended so. Reading all replicas finds
    what was acknowledged by one."""
    written, read = [], []
    for level in LEVELS:
        reading = "linearizable" if level == "linearizable" else "all"
        name = "".join(filter(str.isalnum, level))
        written += [f"{node} put {name}{node} {node} {level} -> done" for node in NODES]
        written += [f"n1 put {name} 1 {level} -> done", f"n1 delete {name} {level} -> done"]
        read += [f"n{5 - int(node[1])} get {name}{node} {reading} -> {node}" for node in NODES]
        read += [f"n3 get {name} {reading} -> absent"]
        read += [f"n2 put {name} 2 {level} -> done", f"n4 get {name} {reading} -> 2"]
    ended = (f"{end} {ALL} -> bit", *refused("n4"))
    return Scenario(
        f"acknowledged, then {end} of all nodes", (*written, *ended, f"start {ALL} -> bit", *read)
    )


def refused(node: str) -> tuple[str, str]:
    """A connection from before may take a moment to be known for broken."""
    return f"{node} get k one -> lost|not sent", f"{node} get k one -> not sent"


SCENARIOS = (
    Scenario("put, get and delete at every level from every node", _every_level_from_every_node()),
    Scenario(
        "cas",
        (
            "n1 cas k 0 1 linearizable -> mismatch",
            "n1 get k linearizable -> absent",
            "n1 cas k absent 1 linearizable -> done",
            "n2 cas k absent 2 linearizable -> mismatch",
            "n3 cas k 1 2 linearizable -> done",
            "n4 cas k 1 3 linearizable -> mismatch",
            "n4 cas k 2 4 linearizable -> done",
            "n1 get k linearizable -> 4",
            "n2 delete k linearizable -> done",
            "n3 cas k 4 5 linearizable -> mismatch",
            "n4 cas k absent '' linearizable -> done",
            "n1 cas k absent 6 linearizable -> mismatch",
            "n1 cas k 1 2 quorum -> bad-request",
        ),
    ),
    Scenario(
        "the levels of one key are two families",
        (
            "n1 put k 1 all -> done",
            "n1 get k linearizable -> absent",
            "n1 put k 2 linearizable -> done",
            "n2 get k quorum -> 1",
            "n2 get k linearizable -> 2",
        ),
    ),
    Scenario(
        "requests that make no sense",
        (
            "n1 put k 1 strong -> bad-request",
            "n1 get k r=4,w=1 -> bad-request",
            "n1 get k r=0 -> bad-request",
            "n4 put k*1024 1 quorum -> done",
            "n1 get k*1024 quorum -> 1",
            "n1 put k*1025 1 quorum -> not sent",
            "n1 get é*513 quorum -> not sent",
            "n1 get '' quorum -> not sent",
            "n1 put big x*1048576 all -> done",
            "n4 put big x*1048577 all -> not sent",
            "n1 cas big absent x*1048577 linearizable -> not sent",
            "n1 put k 1 all -> done",
        ),
    ),
    Scenario(
        "one replica cut off from the others",
        (
            "n2 put q 1 quorum -> done",
            "n2 put p 1 linearizable -> done",
            "n2 put a 1 all -> done",
            "cut n1 / n2 n3 n4 -> bit & n4 put traffic 1 all in 0.3 ~> timeout",
            "n1 get q one -> 1",
            "n1 put o 1 one -> done",
            "n1 get o one -> 1",
            "n1 get q quorum in 0.3 -> unavailable",
            "n1 put q 2 quorum in 2 -> timeout",
            "n1 delete q quorum in 2 -> timeout",
            "n1 get p linearizable in 0.3 -> unavailable",
            "n1 put p 2 linearizable in 0.3 -> unavailable",
            "n1 cas p 1 3 linearizable in 0.3 -> unavailable",
            "n1 delete p linearizable in 0.3 -> unavailable",
            "n2 get a all in 0.3 -> unavailable",
            "n2 put a 2 all in 2 -> timeout",
            "n3 get q one ~> 1",
            "n4 put q 3 quorum -> done",
            "n3 get q quorum -> 3",
            "n3 get p linearizable -> 1",
            "n4 cas p 1 4 linearizable -> done",
            "heal -> bit",
            "heal -> no bite",
            "n1 get p linearizable -> 4",
            "n1 put p 5 linearizable -> done",
            "n4 get p linearizable -> 5",
            "n1 put q 6 all -> done",
            "n4 get q all -> 6",
        ),
    ),
    Scenario(
        "a coordinator with no replica on its side",
        (
            "n1 put k 1 linearizable -> done",
            "cut n4 / n1 n2 n3 -> bit & n4 put traffic 1 all in 0.3 ~> timeout",
            "n4 get k one in 0.3 -> unavailable",
            "n4 put k 2 one in 2 -> timeout",
            "n4 get k linearizable in 0.3 -> unavailable",
            "n4 put k 2 linearizable in 0.3 -> unavailable",
            "n1 put k 3 all -> done",
            "heal -> bit",
            "n4 get k linearizable -> 1",
            "n4 get k all -> 3",
        ),
    ),
    Scenario(
        "a bridge between two sides",
        (
            "cut n1 / n2 n3 -> bit & n2 put k 1 all in 0.3 ~> timeout",
            "n4 put k 2 all -> done",
            "n4 put p 2 linearizable -> done",
            "n2 get p linearizable -> 2",
            "n1 get k one -> 2",
            "n1 get p linearizable in 0.3 -> unavailable",
            "heal -> bit",
            "n1 get p linearizable -> 2",
        ),
    ),
    Scenario(
        "a node that hears nobody and is heard",
        (
            "n1 put k 1 all -> done",
            "pause n1 -> bit",
            "cut n1 <- n2 n3 n4 -> bit",
            "n1 put k 2 quorum in 1 -> timeout & resume n1 -> bit",
            "n2 get k quorum ~> 2",
            "n1 get k quorum in 0.3 -> unavailable",
            "n1 put p 1 linearizable in 0.3 -> unavailable",
            "n2 get k all in 0.3 -> unavailable",
            "n4 put k 3 quorum -> done",
            "n1 get k one -> 2",
            "n4 put p 2 linearizable -> done",
            "heal -> bit",
            "n1 get p linearizable -> 2",
            "n1 get k all -> 3",
        ),
    ),
    Scenario(
        "a node that hears everybody and is not heard",
        (
            "n1 put k 1 all -> done",
            "n2 put k 1 quorum -> done",
            "pause n2 -> bit",
            "cut n2 n3 n4 <- n1 -> bit",
            "n2 put k 2 quorum -> done & resume n2 -> bit",
            "n1 get k one ~> 2",
            "n2 get k all in 0.3 -> unavailable",
            "n1 put k 3 quorum in 2 -> timeout",
            "n1 put p 1 linearizable in 0.3 -> unavailable",
            "n3 get k quorum -> 2",
            "n3 put p 2 linearizable -> done",
            "heal -> bit",
            "n1 get p linearizable -> 2",
            "n1 put k 4 all -> done",
        ),
    ),
    Scenario(
        "a cut replaces the one before",
        (
            "cut n1 / n2 n3 n4 -> bit & n1 put k 1 all in 0.3 ~> timeout",
            "cut n3 / n1 n2 n4 -> bit & n3 put k 2 all in 0.3 ~> timeout",
            "n1 put p 1 linearizable -> done",
            "n2 get p linearizable -> 1",
            "n3 get p linearizable in 0.3 -> unavailable",
            "heal -> bit",
            "n3 get p linearizable -> 1",
        ),
    ),
    Scenario(
        "one replica killed",
        (
            f"boots {ALL} -> noted",
            "n1 put k 1 quorum -> done",
            "n1 put p 1 linearizable -> done",
            "kill n1 -> bit",
            "kill n1 -> no bite",
            "resume n1 -> no bite",
            "states n1 -> down",
            "n2 get k quorum -> 1",
            "n1 get k one -> not sent",
            "n1 put k 2 one -> not sent",
            "n2 put k 3 quorum -> done",
            "n2 put p 3 linearizable -> done",
            "n2 get k all in 0.3 -> unavailable",
            "start n1 -> bit",
            "start n1 -> no bite",
            "states n1 -> up",
            "boots n1 -> risen",
            "boots n2 n3 n4 -> as before",
            "n1 get k quorum -> 3",
            "n1 cas p 3 4 linearizable -> done",
            "kill n2 -> bit",
            "n1 get k all in 0.3 -> unavailable",
            "n3 get p linearizable -> 4",
            "start n2 -> bit",
            "boots n2 -> risen",
            "n4 get k all -> 3",
        ),
    ),
    Scenario(
        "a majority of the replicas killed",
        (
            "n1 put p 1 linearizable -> done",
            "n1 put k 1 all -> done",
            "kill n2 n3 -> bit",
            "n4 get k one -> 1",
            "n4 put k 2 one -> done",
            "n4 get k quorum in 0.3 -> unavailable",
            "n4 put p 2 linearizable in 0.3 -> unavailable",
            "start n2 n3 -> bit",
            "n4 get p linearizable -> 1",
            "n4 get k all -> 2",
        ),
    ),
    Scenario(
        "killed while it coordinates",
        (
            "pause n2 n3 -> bit",
            "n1 put k 1 quorum -> lost & kill n1 once busy -> bit",
            "resume n2 n3 -> bit",
            "start n1 -> bit",
            "n2 put k 2 quorum -> done",
            "n1 get k quorum -> 2",
        ),
    ),
    survives("kill"),
    Scenario(
        "one replica paused",
        (
            "n1 put k 1 all -> done",
            "pause n1 -> bit",
            "states n1 -> paused",
            "n1 get k one in 0.3 -> lost",
            "n1 put o 1 one in 0.3 -> lost|not sent",
            "n2 put k 2 quorum -> done",
            "n2 put p 2 linearizable -> done",
            "n2 get k all in 0.3 -> unavailable",
            "resume n1 -> bit",
            "resume n1 -> no bite",
            "states n1 -> up",
            "n1 get k one ~> 2",
            "n1 get p linearizable -> 2",
            "n3 put k 3 all -> done",
        ),
    ),
    Scenario(
        "paused and then killed",
        (
            "n1 put k 1 linearizable -> done",
            "pause n1 n2 -> bit",
            "n3 put k 2 linearizable in 0.3 -> unavailable",
            "kill n1 n2 -> bit",
            "resume n1 -> no bite",
            "n1 get k linearizable -> not sent",
            "start n1 n2 -> bit",
            "n1 get k linearizable -> 1",
        ),
    ),
)
