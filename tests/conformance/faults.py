"""What every fault must do to the nodes, and its healing undo, on each cluster that claims to make it; as
lines for tests/support/stage.py. The nodes are n1 to n4, and n1, n2 and n3 keep every key; s1 is a spare."""

from __future__ import annotations

from tests.conformance.disks import DAMAGE, DISKS
from tests.conformance.scenarios import ALL, refused, survives
from tests.support.stage import Scenario

PARTITIONS = (
    Scenario(
        "nodes notice who is cut off, and that it is over",
        (
            "n1 status partitioned_since ~> None",
            "cut n1 / n2 n3 n4 -> bit & n1 put traffic 1 all in 0.3 ~> timeout",
            "n1 sees n2 n3 n4 ~> dead",
            "n2 sees n1 ~> dead",
            "n2 sees n3 n4 -> alive",
            "n1 status side ~> ['n1']",
            "n4 status side ~> ['n2', 'n3', 'n4']",
            "heal -> bit",
            "n1 sees n2 n3 n4 ~> alive",
            "n2 sees n1 ~> alive",
            "n1 status partitioned_since ~> None",
            "n4 status partitioned_since ~> None",
        ),
    ),
    Scenario(
        "clients cut off from a node that serves as a replica",
        (
            "n1 put k 1 all -> done",
            "cut-clients n1 -> bit",
            "n1 get k one in 0.3 -> lost|not sent",
            "n2 get k all -> 1",
            "n2 put k 2 all -> done",
            "cut-clients n2 -> bit",
            "n1 get k one -> 2",
            "n2 get k one in 0.3 -> lost|not sent",
            "n1 put k 3 all -> done",
            "heal-clients -> bit",
            "heal-clients -> no bite",
            "n2 get k all -> 3",
        ),
    ),
)

PACKETS = (
    Scenario(
        "all that one node sends is lost",
        (
            "n1 put k 1 all -> done",
            "shape n1 loss=1 -> bit",
            "n1 get k quorum in 0.3 -> unavailable",
            "n1 put j 1 linearizable in 0.3 -> unavailable",
            "n2 get k all in 0.3 -> unavailable",
            "n2 put k 3 quorum -> done",
            "unshape -> bit",
            "unshape -> no bite",
            "n1 get k all ~> 3",
            "n2 put k 4 all -> done",
        ),
    ),
    Scenario(
        "some of what one node sends is lost",
        (
            "n1 put k 1 all -> done",
            "shape n1 loss=0.4 -> bit",
            "n1 get k all in 0.15 ~> unavailable",
            "n1 get k all in 0.15 ~> 1",
            "unshape -> bit",
            "n1 put k 2 all -> done",
            "n4 get k all -> 2",
        ),
    ),
    Scenario(
        "what one node sends is late",
        (
            "n1 put k 1 all -> done",
            "pace n4 get k all -> measured",
            "pace n4 get k r=2 -> measured",
            "shape n1 delay_ms=100 -> bit",
            "pace n4 get k all -> slower",
            "pace n4 get k r=2 ~> as before",
            "unshape -> bit",
            "pace n4 get k all ~> as before",
        ),
    ),
    Scenario(
        "what all nodes send is slow",
        (
            "pace n4 put k x*3000 all -> measured",
            f"shape {ALL} rate_kbit=250 -> bit",
            "pace n4 put k x*3000 all -> slower",
            "unshape -> bit",
            "pace n4 put k x*3000 all ~> as before",
        ),
    ),
)

DISTANCES = (
    Scenario(
        "two nodes are far from each other",
        (
            "n1 put k 1 all -> done",
            "pace n4 get k all -> measured",
            "pace n4 get k r=2 -> measured",
            "pace n2 get k all -> measured",
            "apart n1 n4 100 n4 n1 50 -> bit",
            "pace n4 get k all -> slower",
            "pace n4 get k r=2 ~> as before",
            "pace n2 get k all ~> as before",
            "apart n1 n2 100 -> bit",
            "pace n4 get k all ~> as before",
            "pace n2 get k all -> slower",
            "together -> bit",
            "together -> no bite",
            "pace n2 get k all ~> as before",
        ),
    ),
    Scenario(
        "distances and shaped packets replace each other",
        (
            "n1 put k 1 all -> done",
            "pace n4 get k all -> measured",
            "apart n1 n4 100 -> bit",
            "shape n2 delay_ms=20 -> bit",
            "apart n1 n2 100 -> bit",
            "pace n4 get k all ~> as before",
            "unshape -> bit|no bite",
            "together -> no bite",
            "n4 get k all -> 1",
        ),
    ),
)

PROCESSES = (
    Scenario(
        "refused, silent, and ended in good order",
        (
            f"boots {ALL} -> noted",
            f"births {ALL} -> noted",
            "n1 put k 1 all -> done",
            "kill n1 -> bit",
            *refused("n1"),
            "start n1 -> bit",
            "boots n1 -> risen",
            "n1 get k one -> 1",
            "pause n1 -> bit",
            "n1 get k one in 0.3 -> lost",
            "resume n1 -> bit",
            "n1 get k one ~> 1",
            f"boots {ALL} -> as before",
            "stop n1 n2 -> bit",
            "stop n1 -> no bite",
            "states n2 -> down",
            *refused("n2"),
            "n4 get k one -> 1",
            "start n1 n2 -> bit",
            "boots n1 n2 -> risen",
            "boots n3 n4 -> as before",
            f"births {ALL} -> as before",
            "n1 put k 2 all -> done",
        ),
    ),
    Scenario(
        "stopped while frozen",
        (
            "n1 put k 1 all -> done",
            "pause n1 -> bit",
            "stop n1 -> bit",
            "resume n1 -> no bite",
            *refused("n1"),
            "start n1 -> bit",
            "n1 get k one -> 1",
        ),
    ),
    survives("stop"),
)

CLOCKS = (
    Scenario(
        "clocks jump",
        (
            *(f"offset {node} -> +0" for node in ALL.split()),
            "bump n1 5000 n2 -90000 -> bit",
            "offset n1 -> +5000",
            "offset n2 -> -90000",
            "offset n3 -> +0",
            "bump n1 -1000 -> bit",
            "offset n1 -> +4000",
            "n1 put k 1 all -> done",
            "kill n1 -> bit",
            "start n1 -> bit",
            "offset n1 -> +4000",
            "reset -> bit",
            "reset -> no bite",
            *(f"offset {node} -> +0" for node in ALL.split()),
        ),
    ),
    Scenario(
        "a clock jumps forth and back",
        (
            "strobe n1 500 every 100 -> bit",
            *("offset n1 ~> +500", "offset n1 ~> +0") * 3,
            "offset n2 -> +0",
            "reset -> bit",
            "offset n1 -> +0",
            "n1 put k 1 all -> done",
            "offset n1 -> +0",
        ),
    ),
    Scenario(
        "clocks run too fast and too slow",
        (
            "drift n1 100000 n2 -100000 -> bit",
            "rate n1 -> +100000",
            "rate n2 -> -100000",
            "rate n3 -> +0",
            "reset -> bit",
            "rate n1 -> +0",
            "offset n1 -> +0",
            "offset n2 -> +0",
        ),
    ),
)

STRESS = (
    Scenario(
        "busy processors",
        ('burn n1 n2 -> bit "times as slow"', "n1 put k 1 all -> done", "relax -> bit", "relax -> no bite"),
    ),
    Scenario(
        "memory in use",
        ('hog n1 0.003 -> bit "held"', "n1 put k 1 all -> done", "relax -> bit", "relax -> no bite"),
    ),
)

MEMBERS = (
    Scenario(
        "roles follow the layout and who runs",
        (
            f"roles owner -> {ALL}",
            "roles spare -> s1",
            "roles steward -> n1",
            "kill n1 -> bit",
            "roles steward -> n2",
            "start n1 -> bit",
            "roles steward -> n1",
        ),
    ),
    Scenario(
        "a node that has lost its disk",
        (
            "births n1 n2 -> noted",
            "n1 put k 1 all -> done",
            "n1 put p 1 linearizable -> done",
            "wipe n1 -> bit",
            "births n1 -> another",
            "births n2 -> as before",
            "n1 status serves ~> True",
            "copies k ~> n1 n2 n3",
            "n1 get p linearizable -> 1",
            "restore -> bit|no bite",
        ),
    ),
    Scenario(
        "members that leave and join",
        (
            f"owners n1 -> {ALL}",
            "n1 put k 1 all -> done",
            "leave n4 -> bit",
            "owners n1 -> n1 n2 n3",
            "n4 status serves -> False",
            "join s1 -> bit",
            "owners n2 -> n1 n2 n3 s1",
            "n2 get k all -> 1",
            "s1 get k quorum -> 1",
            "restore -> bit",
            "restore -> no bite",
            f"owners n3 -> {ALL}",
            "n4 status serves -> True",
            "n4 get k all -> 1",
        ),
    ),
    Scenario(
        "a member that is replaced",
        (
            "n1 put k 1 all -> done",
            "n2 put p 1 linearizable -> done",
            "replace n1 by s1 -> bit",
            "owners n2 -> n2 n3 n4 s1",
            *refused("n1"),
            "s1 get k all -> 1",
            "n2 get p linearizable -> 1",
            "restore -> bit",
            f"owners n2 -> {ALL}",
            "n1 get k all -> 1",
        ),
    ),
)


def again(fault: str, healing: str) -> Scenario:
    """A fault that is there already, one of a node that is down, and a healing of what is well."""
    return Scenario(
        f"again, and of a node that is down: {fault}",
        (
            f"{fault} -> bit|no bite",
            f"{fault} -> bit|no bite",
            "kill n1 -> bit|no bite",
            f"{fault} -> bit|no bite",
            f"{healing} -> bit|no bite",
            f"{healing} -> no bite",
            "start n1 -> bit|no bite",
            "n1 put k 1 all ~> done",
            "n4 get k all -> 1",
            "offset n1 -> +0",
        ),
    )


AGAIN = tuple(
    again(fault, healing)
    for fault, healing in (
        ("cut n1 / n2 n3 n4", "heal"),
        ("cut-clients n1", "heal-clients"),
        ("shape n1 loss=0.2", "unshape"),
        ("apart n1 n4 20", "together"),
        ("pause n1", "resume n1"),
        ("stop n1", "start n1"),
        ("power-off n1", "start n1"),
        ("bump n1 700", "reset"),
        ("strobe n1 700 every 50", "reset"),
        ("drift n1 10000", "reset"),
        ("fill n1", "mend"),
        ("slow n1", "mend"),
        ("burn n1", "relax"),
    )
)

FAULTS = (*PARTITIONS, *PACKETS, *DISTANCES, *PROCESSES, *CLOCKS, *DISKS, *STRESS, *MEMBERS, *DAMAGE, *AGAIN)
