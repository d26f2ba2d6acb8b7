"""Jepsen's two formats: EDN histories (a vector or list of maps, or one map a line) and its text log."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from checkers.formats.edn import TOKEN, EdnError, Parser, edn, read_edn
from checkers.formats.source import LINE_BYTES_MAX, PIECE_BYTES, Builder, lines, refusal
from checkers.history import HistoryError, Op, Type

_TYPES: Final[dict[Any, Type]] = {":invoke": "invoke", ":ok": "ok", ":fail": "fail", ":info": "info"}
LOG_LINE: Final = re.compile(
    r".*\bjepsen\.util(?: -|:)\s+(?P<process>:?[\w-]+)\s+:(?P<type>[\w-]+)"
    r"\s+:(?P<f>[^\s\[\](){}\",;]+)[ \t]*(?P<value>.*)"
)
_OTHER_LOG_LINE: Final = re.compile(r".*\b(?:TRACE|DEBUG|INFO|WARN|ERROR)\b(?!.*\bjepsen\.util\b)")


# EDN ------------------------------------------------------------------------------------------------


def read_edn_history(path: Path, builder: Builder) -> None:
    """Piece by piece, so that memory is bounded by the operations and not by the text."""
    parser = Parser(inside_one=True)
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    rest = ""
    line = 1
    with path.open("rb") as file:
        while True:
            data = file.read(PIECE_BYTES)
            try:
                rest += decode(data, final=not data)
            except UnicodeDecodeError:
                raise refusal(path, line + rest.count("\n"), "this is not UTF-8 text") from None
            text, tokens = _whole_tokens(rest) if data else (rest, TOKEN.findall(rest))
            _feed(parser, tokens, text, path, line, builder)
            line += text.count("\n")
            rest = rest[len(text) :]
            if not data:
                break
            if len(rest) > LINE_BYTES_MAX or parser.pending > LINE_BYTES_MAX:
                raise refusal(path, line, f"an operation is larger than {LINE_BYTES_MAX >> 20} MiB")
    try:
        parser.end()
    except ValueError as error:
        raise refusal(path, line, error) from None


def _whole_tokens(text: str) -> tuple[str, list[str]]:
    """As much of `text` as certainly consists of whole tokens, and these."""
    cut = text.rfind("\n") + 1 or text.rfind("}") + 1 or text.rfind(" ") + 1
    tokens = TOKEN.findall(text, 0, cut)
    if '"' in tokens or (tokens and tokens[-1][0] == ";" and text[cut - 1] != "\n"):
        whole = tokens.index('"') if '"' in tokens else len(tokens) - 1
        cut = _place(text, whole)
        tokens = tokens[:whole]
    return text[:cut], tokens


def _place(text: str, number: int) -> int:
    """Where the token of that number begins."""
    return next(match.start() for count, match in enumerate(TOKEN.finditer(text)) if count == number)


def _feed(parser: Parser, tokens: list[str], text: str, path: Path, line: int, builder: Builder) -> None:
    token = 0
    try:
        for form, last_token in parser.feed(tokens):
            token = last_token
            builder.add(_op(form))
    except HistoryError as error:
        if isinstance(error, EdnError):
            token = error.token
        raise refusal(path, line + text.count("\n", 0, _place(text, token)), error) from None


def _op(form: Any) -> Op:
    if not isinstance(form, dict):
        raise HistoryError(
            f"an operation is a map like {{:process 0, :type :invoke, :f :read}}, not {edn(form)[:60]}"
        )
    get = form.get
    kind = _TYPES.get(get(":type"))
    if kind is None:
        raise HistoryError(
            f"the type of an operation is :invoke, :ok, :fail or :info, not {edn(get(':type'))[:60]}"
        )
    process = get(":process", -1)
    if isinstance(process, str):
        process = process.removeprefix(":")
    elif type(process) is not int:
        raise HistoryError(f"a process is an integer or :nemesis, not {edn(process)[:60]}")
    f = get(":f")
    if not isinstance(f, str):
        raise HistoryError(f"an f is a keyword like :read, not {edn(f)[:60]}")
    key = get(":key")
    return Op(
        _integer(form, ":index"),
        _integer(form, ":time"),
        process,
        kind,
        f.removeprefix(":"),
        key if key is None or isinstance(key, str) else edn(key),
        get(":value"),
        get(":error"),
    )


def _integer(form: dict[str, Any], name: str) -> int:
    value = form.get(name, -1)
    if value is None:
        return -1
    if type(value) is not int:
        raise HistoryError(f"{name} is an integer, not {edn(value)[:60]}")
    return value


def to_edn(op: Op) -> str:
    """One event as a line of EDN that Jepsen and Knossos read, without the newline."""
    process = f":{op.process}" if isinstance(op.process, str) else op.process
    fields = [f":process {process}", f":type :{op.type}", f":f :{op.f}"]
    if op.key is not None:
        fields.append(f":key {edn(op.key)}")
    fields.append(f":value {edn(op.value)}")
    if op.error is not None:
        fields.append(f":error {edn(op.error)}")
    if op.time != -1:
        fields.append(f":time {op.time}")
    if op.index != -1:
        fields.append(f":index {op.index}")
    return "{" + ", ".join(fields) + "}"


# The text log ---------------------------------------------------------------------------------------


def read_log(path: Path, builder: Builder) -> None:
    """`INFO  jepsen.util - PROCESS :TYPE :F VALUE`; other log lines are skipped, anything else is refused."""
    for number, data, ended in lines(path):
        try:
            op = _logged(data.decode())
            if not ended:
                raise HistoryError("the last line has no newline: the file may have been cut off")
            if op is not None:
                builder.add(op)
        except UnicodeDecodeError:
            raise refusal(path, number, "this is not UTF-8 text") from None
        except HistoryError as error:
            raise refusal(path, number, error) from None


def _logged(line: str) -> Op | None:
    match = LOG_LINE.fullmatch(line.rstrip())
    if match is None:
        if not line or line.isspace() or _OTHER_LOG_LINE.match(line):
            return None
        raise HistoryError(f"this is no line of Jepsen's log: {line[:60]!r}")
    process, name, f, text = match.groups()
    kind = _TYPES.get(f":{name}")
    if kind is None:
        raise HistoryError(f"the type of an operation is :invoke, :ok, :fail or :info, not :{name}")
    value = _logged_value(text) if text else None
    error = None
    if kind in ("fail", "info") and isinstance(value, str) and value.startswith(":"):
        value, error = None, value
    whose = int(process) if process.isdigit() else process.removeprefix(":")
    return Op(process=whose, type=kind, f=f, value=value, error=error)


@lru_cache(maxsize=4096)
def _logged_value(text: str) -> Any:
    return read_edn(text)
