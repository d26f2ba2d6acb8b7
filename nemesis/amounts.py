"""How much of a fault a user asks for: `=AMOUNT` right after what it measures, `loss=0.3` or `one=+5000/100`.

What is not asked for is drawn, as if nobody could ask. Left out: ranges to draw from, and units to choose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_FRACTION: Final = re.compile(r"[0-9]*\.?[0-9]{1,15}", re.ASCII)


class Measure(NamedTuple):
    """Of an amount, or of its part: what users call it, unit last, and its range. 0 is not in one that goes
    to either side of it."""

    name: str
    least: float
    most: float
    whole: bool = True

    def read(self, text: str) -> float | None:
        """None if it is no such number."""
        if not (_WHOLE if self.whole else _FRACTION).fullmatch(text):
            return None
        value = int(text) if self.whole else float(text)
        fits = self.least <= value <= self.most and (value != 0 or self.least == 0)
        return value if fits else None

    def __str__(self) -> str:
        kind = "nonzero " * (self.least < 0) + "whole " * self.whole
        return f"a {kind}{self.name} from {self.least} to {self.most}"


class Amount(NamedTuple):
    """`measures` with "/" between; all but the first `needed` may be left out."""

    measures: tuple[Measure, ...]
    needed: int = 1

    @property
    def form(self) -> str:
        names = [measure.name for measure in self.measures]
        optional = "".join(f"[/{name}]" for name in names[self.needed :])
        return "=" + "/".join(names[: self.needed]) + optional

    def __str__(self) -> str:
        return f"{self.form}, with {' and '.join(map(str, self.measures))}"


FRACTION: Final = Amount((Measure("FRACTION", 0.001, 1, whole=False),))


def split_amount(choice: str | None) -> tuple[str | None, str | None]:
    """`KIND=AMOUNT@TARGET` or `TARGET=AMOUNT` without its amount, and the amount (None: there is none)."""
    head, equals, rest = (choice or "").partition("=")
    if not equals or "@" in head:
        return choice, None
    amount, at, target = rest.partition("@")
    return head + at + target, amount


def parse_amount(asked: str, text: str | None, amount: Amount | None) -> tuple[float, ...]:
    """What `ASKED=TEXT` asks for, in the order of its measures, as many as it names (no text: none). Raises
    ValueError, which says what is allowed; `amount` is None where nothing can be measured."""
    if text is None:
        return ()
    if amount is None:
        raise ValueError(f"{asked}={text}: {asked} has no amount that could be chosen")
    parts = text.split("/")
    values = [measure.read(part) for measure, part in zip(amount.measures, parts, strict=False)]
    if None in values or not amount.needed <= len(parts) <= len(amount.measures):
        raise ValueError(f"{asked}={text}: must be {asked}{amount}")
    return tuple([value for value in values if value is not None])


def asked_or(drawn: float, asked: Sequence[float], place: int = 0) -> float:
    """What was asked for at this place, or else what was drawn."""
    return asked[place] if place < len(asked) else drawn
