"""What faults of disks and files must do to the nodes: see tests/conformance/faults.py."""

from __future__ import annotations

from tests.conformance.scenarios import refused, survives
from tests.support.stage import Scenario

DISKS = (
    Scenario(
        "disks without room",
        (
            "n1 put k 1 all -> done",
            "n1 status disk_full -> False",
            "fill n1 n2 n3 -> bit",
            "n1 put j x*100000 quorum in 1 ~> disk-full",
            "n1 status disk_full -> True",
            "n4 get k all -> 1",
            "mend -> bit",
            "mend -> no bite",
            "n1 put j 2 all ~> done",
            "n1 status disk_full ~> False",
            "n4 get j all -> 2",
        ),
    ),
    Scenario(
        "one disk without room",
        (
            "fill n1 -> bit",
            "n1 put j x*100000 all in 1 ~> disk-full",
            "n2 status disk_full -> False",
            "n2 put k 1 quorum -> done",
            "mend -> bit",
            "n1 put j 1 all ~> done",
            "n1 status disk_full ~> False",
            "copies k ~> n1 n2 n3",
        ),
    ),
    Scenario(
        "a node that starts on a disk without room",
        (
            "n1 put k 1 all -> done",
            "fill n1 -> bit",
            "kill n1 -> bit",
            "n2 put k 2 quorum -> done",
            "start n1 -> bit|no bite",
            "mend -> bit|no bite",
            "n1 status serves ~> True",
            "n1 put j 1 all ~> done",
            "copies k ~> n1 n2 n3",
        ),
    ),
    Scenario(
        "slow disks",
        (
            "pace n1 put k 1 all -> measured",
            "slow n1 n2 n3 -> bit|no bite",
            "pace n1 put k 1 all -> slower",
            "mend -> bit",
            "mend -> no bite",
            "pace n1 put k 1 all ~> as before",
        ),
    ),
    survives("power-off"),
    Scenario(
        "the power fails before a change is acknowledged",
        (
            "n1 put k 1 all -> done",
            "slow n1 n2 n3 -> bit|no bite",
            "n1 put k 2 all -> lost & power-off n1 n2 n3 once busy -> bit",
            "mend -> bit|no bite",
            "start n1 n2 n3 -> bit",
            "n4 get k all -> 1|2",
            "copies k -> n1 n2 n3",
            "n1 put k 3 all -> done",
        ),
    ),
    Scenario(
        "the power of one node fails",
        (
            "boots n1 n2 -> noted",
            "births n1 -> noted",
            "n1 put k 1 all -> done",
            'power-off n1 -> bit "lost"',
            *refused("n1"),
            "n2 put k 2 quorum -> done",
            "start n1 -> bit",
            "boots n1 -> risen",
            "boots n2 -> as before",
            "births n1 -> as before",
            "copies k ~> n1 n2 n3",
        ),
    ),
)

DAMAGE = (  # a node that has to be let in again may take longer than its start is waited for
    Scenario(
        "records that cannot be read are mended from the other copies",
        (
            *(f"n1 put k{number} {number} all -> done" for number in range(20)),
            "n1 scrub -> clean",
            "rot n1 -> bit",
            "survey -> no bite",
            "n2 scrub -> clean",
            "n1 scrub -> mended",
            "survey -> bit",
            "n1 scrub -> clean",
            *(f"copies k{number} -> n1 n2 n3" for number in range(20)),
        ),
    ),
    Scenario(
        "bits that are flipped are found and mended",
        (
            "births n1 -> noted",
            *(f"n1 put k{number} x*1000 all -> done" for number in range(20)),
            "flip n1 *.log 1000 -> bit",
            *refused("n1"),
            "n2 get k0 quorum -> " + "x" * 1000,
            "start n1 -> bit|no bite",
            "births n1 ~> another",
            "n1 status serves ~> True",
            *(f"copies k{number} ~> n1 n2 n3" for number in range(20)),
        ),
    ),
    Scenario(
        "bits that are flipped in sorted tables are found and mended",
        (
            "births n1 -> noted",
            *(f"n1 put k{number} x*1000 all -> done" for number in range(20)),
            "stop n1 -> bit",
            "start n1 -> bit",
            "flip n1 *.sst 1000 -> bit",
            "start n1 -> bit|no bite",
            "births n1 ~> another",
            "n1 status serves ~> True",
            *(f"copies k{number} ~> n1 n2 n3" for number in range(20)),
        ),
    ),
    Scenario(
        "a log that lost its end is made up for by the other copies",
        (
            *(f"n1 put k{number} 1 all -> done" for number in range(5)),
            "truncate n1 *.log 100 -> bit",
            "start n1 -> bit|no bite",
            *(f"n4 get k{number} quorum -> 1" for number in range(5)),
            *(f"copies k{number} ~> n1 n2 n3" for number in range(5)),
        ),
    ),
    Scenario(
        "an old copy of all files is put back",
        (
            "n1 put k 1 all -> done",
            "snapshot n1 -> no bite",
            "n1 put k 2 all -> done",
            "restore-files n1 -> bit",
            "start n1 -> bit|no bite",
            "n4 get k quorum -> 2",
            "copies k ~> n1 n2 n3",
        ),
    ),
    Scenario(
        "chunks of files become what they were",
        (
            "n1 put j 1 all -> done",
            "snapshot n1 -> no bite",
            *(f"n1 put k{number} x*1000 all -> done" for number in range(20)),
            "roll-back n1 *.log 1.0 -> bit",
            "start n1 -> bit|no bite",
            "n1 status serves ~> True",
            "n4 get j quorum -> 1",
            *(f"copies k{number} ~> n1 n2 n3" for number in range(20)),
        ),
    ),
)
