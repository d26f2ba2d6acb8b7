"""A history file as pieces of text: bounded memory, line numbers, and one shape for every refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from checkers.history import HistoryError, Op, Pairing

PIECE_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 4 << 20
"""Also the largest operation of a format that has no lines."""


class Line(NamedTuple):
    """`number` counts from 1; `ended` is False for a last line with no newline, which `data` leaves out."""

    number: int
    data: bytes
    ended: bool


def refusal(path: Path, line: int, sentence: object) -> HistoryError:
    return HistoryError(f"{path}, line {line}: {sentence}")


def lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        number = 0
        while data := file.readline(LINE_BYTES_MAX):
            number += 1
            ended = data.endswith(b"\n")
            if not ended and len(data) == LINE_BYTES_MAX:
                raise refusal(path, number, f"the line is longer than {LINE_BYTES_MAX >> 20} MiB")
            yield Line(number, data[:-1] if ended else data, ended)


def head(path: Path) -> str:
    """The first 64 KiB as text; HistoryError if the file cannot be read or is not text."""
    try:
        with path.open("rb") as file:
            data = file.read(1 << 16)
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from None
    if b"\0" in data:
        raise refusal(
            path, data[: data.index(b"\0")].count(b"\n") + 1, "this is binary, not a recorded history"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) == 1 << 16 and error.start >= len(data) - 4:
            return data[: error.start].decode("utf-8-sig")
        raise refusal(path, data[: error.start].count(b"\n") + 1, "this is not UTF-8 text") from None


class Builder:
    """Collects a file's operations, holding each to what a history may be (`checkers.history.Pairing`)."""

    def __init__(self, independent: bool) -> None:
        self.history: list[Op] = []
        self._independent = independent
        self._pairing = Pairing()

    def add(self, op: Op) -> None:
        """HistoryError says what is wrong, without the place."""
        if self._independent:
            op = _of_one_key(op)
        self._pairing.add(op)
        self.history.append(op)


def _of_one_key(op: Op) -> Op:
    """Undo jepsen.independent: a value [k v] is the value v of the key k."""
    if op.process == "nemesis":
        return op
    if not isinstance(op.value, list) or len(op.value) != 2:
        raise HistoryError(f"an independent operation's value is [key value], not {op.value!r}")
    key, value = op.value
    return Op(op.index, op.time, op.process, op.type, op.f, str(key), value, op.error)
