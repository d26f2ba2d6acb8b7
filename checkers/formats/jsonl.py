"""Our own format: one JSON object a line, with the fields of `Op` (docs/HISTORY_FORMAT.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from checkers.formats.source import Builder, lines, refusal
from checkers.history import HistoryError, Op

_DECODER: Final = msgspec.json.Decoder(Op)
_ENCODER: Final = msgspec.json.Encoder()


def encode_line(op: Op) -> bytes:
    """One line of a history file, with its newline. Fields that hold their default are left out."""
    return _ENCODER.encode(op) + b"\n"


def write_jsonl(history: Iterable[Op], path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(encode_line(op) for op in history)


def read_jsonl(
    path: Path, builder: Builder, allow_torn_tail: bool = False, notice: Callable[[str], None] | None = None
) -> None:
    """`allow_torn_tail`: a last line with no newline, as a killed writer leaves it, is dropped, and `notice`
    is told so."""
    add, decode = builder.add, _DECODER.decode
    for number, data, ended in lines(path):
        if not ended and allow_torn_tail:
            if notice is not None:
                notice(f"{path}, line {number}: dropped {len(data)} bytes of a line that was cut off")
            return
        if not data or data.isspace():
            continue
        try:
            add(decode(data))
        except msgspec.ValidationError as error:
            raise refusal(path, number, f"this is not an operation: {_lower(str(error))}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            cut = "" if ended else "; the last line has no newline, so the file may have been cut off"
            raise refusal(path, number, f"this is not JSON ({error}){cut}") from None
        except HistoryError as error:
            raise refusal(path, number, error) from None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
