"""The words of `harness demo cap`: what happened, made of figures alone; a sentence stands where they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from harness.demo.cap_measure import SIDES, Measured
from harness.demo.served import Served


def prose(found: Sequence[Measured]) -> list[Padding | Text]:
    parts: list[Padding | Text] = [Text("What happened", "bold")]
    for one in found:
        text = Text.assemble((f"{one.setting}. ", "bold"), " ".join(sentences(one)))
        parts.append(Padding(text, (0, 0, 1, 2)))
    return parts


def sentences(one: Measured) -> list[str]:
    return [*_availability(one), *_freshness(one), *_kept(one)]


def _availability(one: Measured) -> list[str]:
    during = one.served["during"]
    sides = f"the majority side was served {_of(during['majority'])} and the minority side"
    noticed_s = one.detect_s["minority"]
    knew = "Not all nodes of the minority side noticed that they were cut off."
    if noticed_s is not None:
        knew = f"All nodes of the minority side knew after {noticed_s:.1f} s that they were cut off."
    return [f"During the cut {sides} {_of(during['minority'])}.", knew]


def _of(side: Served) -> str:
    if not side.asked:
        return "nothing, for it asked nothing"
    if side.served == side.asked:
        return f"all of {side.asked} operations"
    return f"{side.served or 'none'} of {side.asked} operations"


def _freshness(one: Measured) -> list[str]:
    counts = one.counts
    if not counts["reads"]:
        return ["No read was answered."]
    if not counts["stale_reads"]:
        told = [f"None of {counts['reads']} answered reads was stale."]
    else:
        told = [_stale(counts)]
    if counts["bereft_reads"]:
        told.append(f"{_reads(counts['bereft_reads'])} lacked nothing but what was lost for good.")
    broken = [
        f"{_reads(counts[name])} {what}"
        for name, what in (
            ("read_your_writes", "without what the client itself had added"),
            ("monotonic_reads", "without what it had seen before"),
            ("out_of_order", "with an item but without what its client had seen or added before it"),
        )
        if counts[name]
    ]
    if broken:
        told.append(f"Sessions were broken: {'; '.join(broken)}.")
    if counts["sibling_reads"]:
        told.append(f"{_reads(counts['sibling_reads'])} gave several values, whose union is the cart.")
    return told


def _stale(counts: dict[str, Any]) -> str:
    return (
        f"Of {counts['reads']} answered reads {counts['stale_reads']} lacked what had been acknowledged: at "
        f"worst {_items(counts['missing_max'])}, and one that had been so for {counts['late_max_s']:.1f} s."
    )


def _kept(one: Measured) -> list[str]:
    counts = one.counts
    if counts["lost"] is None:
        fate = "Not all carts could be looked at in the end."
    elif counts["lost"]:
        share = 100 * counts["lost"] / counts["acknowledged"]
        lost = f"{counts['lost']} of {counts['acknowledged']} acknowledged adds ({share:.1f}%)"
        sides = " and ".join(f"{one.counts_by_side[side]['lost']} of the {side} side's" for side in SIDES)
        fate = f"Lost for good: {lost}, {sides}."
    else:
        fate = f"No acknowledged add of {counts['acknowledged']} is lost."
    told = [fate]
    if one.converge_s is not None:
        told.append(f"All copies agreed {one.converge_s:.1f} s after the healing.")
    elif not one.rungs["convergent"]:
        told.append("Copies differed to the end.")
    return told


def _reads(count: int) -> str:
    return "1 read" if count == 1 else f"{count} reads"


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"
