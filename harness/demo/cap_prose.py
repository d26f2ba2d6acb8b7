"""The words of `harness demo cap`: what happened, made of figures alone; a sentence stands where they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from harness.demo.cap_measure import Measured, Served


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
    told = [f"During the cut the majority side was served {_of(during['majority'])} operations"]
    minority = during["minority"]
    told[0] += f" and the minority side {_of(minority)}."
    if one.detect_s["minority"] is not None:
        told.append(
            f"All of the latter's nodes knew after {one.detect_s['minority']:.1f} s that they were cut off."
        )
    return told


def _of(side: Served) -> str:
    if side.served == side.asked:
        return f"all of {side.asked}"
    return f"{side.served or 'none'} of {side.asked}"


def _freshness(one: Measured) -> list[str]:
    counts = one.counts
    if not counts["stale_reads"]:
        told = [f"None of the {counts['reads']} answered reads was stale."]
    else:
        told = [_stale(counts)]
    if counts["bereft_reads"]:
        told.append(f"{_reads(counts['bereft_reads'])} lacked nothing but what was lost for good.")
    own, seen = counts["read_your_writes"], counts["monotonic_reads"]
    if own or seen:
        told.append(f"{_reads(own)} lacked what their own client had added, {seen} what it had seen before.")
    if counts["sibling_reads"]:
        told.append(f"{_reads(counts['sibling_reads'])} gave several values, whose union is the cart.")
    return told


def _stale(counts: dict[str, Any]) -> str:
    return (
        f"{counts['stale_reads']} of {counts['reads']} answered reads were stale: the worst lacked "
        f"{_items(counts['missing_max'])}, the latest to learn lacked one that had been acknowledged for "
        f"{counts['late_max_s']:.1f} s."
    )


def _kept(one: Measured) -> list[str]:
    counts = one.counts
    if counts["lost"] is None:
        fate = "Not all carts could be looked at in the end."
    elif counts["lost"]:
        share = 100 * counts["lost"] / counts["acknowledged"]
        lost = f"{counts['lost']} of {counts['acknowledged']} acknowledged adds ({share:.1f}%)"
        fate = f"{lost} are lost for good."
    else:
        fate = f"All {counts['acknowledged']} acknowledged adds are there in the end."
    told = [fate]
    if one.converge_s is not None:
        told.append(f"All copies agreed {one.converge_s:.1f} s after the healing.")
    return told


def _reads(count: int) -> str:
    return "1 read" if count == 1 else f"{count} reads"


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"
