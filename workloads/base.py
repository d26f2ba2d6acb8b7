"""What a workload is: what we ask of the store, and who judges the answers."""

from __future__ import annotations

from typing import Protocol

from checkers.linear import Stream
from checkers.verdict import Checker
from harness.client import Codec
from harness.generator import Generator


class Workload(Codec, Protocol):
    """A workload is made anew for each run, from the run's options; it holds no state of the run itself.

    `generator` gives the clients' operations for as long as it is asked (the harness limits time and rate);
    `checkers` judge the whole history.
    """

    name: str

    def generator(self, seed: int) -> Generator: ...

    def final(self) -> Generator | None:
        """The clients' last operations, once all is healed; None: there are none."""
        ...

    def checkers(self) -> list[Checker]: ...

    def stream(self) -> Stream | None:
        """Judges the history while it comes in, for runs that stop at the first violation; None: only a whole
        history can be judged."""
        ...
