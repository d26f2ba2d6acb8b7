"""A reader and a writer for EDN, as much of it as recorded histories use (https://github.com/edn-format/edn).

Read: nil, booleans, numbers, strings, characters, keywords, symbols, vectors, lists, sets, maps, comments,
`#_` discards, and tagged values, of which the tag is dropped. Vectors and lists become lists, sets sorted
lists, maps dicts with string keys. A keyword becomes a string with its colon (":x"), and such a string is
written as a keyword again. Left out: metadata, namespaced maps, exact decimals and ratios.

The tokenizer is one compiled expression that leaves no character out, so whatever is not EDN shows up as a
token that cannot stand where it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final

from checkers.history import HistoryError

TOKEN: Final = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"'  # a string
    r"|[^\s,;\"\[\](){}#\\]+[^\s,;\"\[\](){}]*"  # a number, keyword or symbol
    r"|[\[\](){}]"
    r"|;[^\n]*"
    r"|#_|#\{|##?[^\s,;\"\[\](){}]*"  # a discard, a set, a tag or ##NaN
    r"|\\(?:[a-zA-Z][a-zA-Z0-9]*|.)?"  # a character
    r'|"',  # a string that does not end
    re.DOTALL,
)
DEPTH_MAX: Final = 64

_CLOSES: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_NAMES: Final = {"[": "vector", "(": "list", "{": "map", "#{": "set"}
_CHARACTERS: Final = {
    "newline": "\n",
    "space": " ",
    "tab": "\t",
    "return": "\r",
    "formfeed": "\f",
    "backspace": "\b",
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+N?")
_FLOAT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?")
_KEYWORD: Final = re.compile(r":[^\s,;\"\[\](){}#\\:/][^\s,;\"\[\](){}\\]*")
_DISCARD: Final = object()
_CACHE_MAX: Final = 1 << 16


class EdnError(HistoryError):
    """Not EDN: what stands where it cannot. `token` counts the tokens of the text fed before it."""

    def __init__(self, sentence: str, token: int) -> None:
        super().__init__(sentence)
        self.token = token


class Parser:
    """Builds values from tokens, fed in pieces.

    `feed` gives the values completed at the outermost level, each with the number of the token that ended
    it. With `inside_one`, a vector or list at the outermost level is entered rather than built, so that a
    history that is one huge vector still comes out map by map.
    """

    def __init__(self, inside_one: bool = False) -> None:
        self._inside_one = inside_one
        self._begun = False
        self._entered: str | None = None
        self._finished = False
        self._stack: list[tuple[str, list[Any]]] = []
        self._top: list[Any] = []
        self._atoms: dict[str, Any] = {}
        self._discards = False
        self.pending = 0
        """How many characters were fed since a value was last completed at the outermost level."""

    def feed(self, tokens: list[str]) -> list[tuple[Any, int]]:
        top, stack, atoms = self._top, self._stack, self._atoms
        done: list[tuple[Any, int]] = []
        number = -1
        try:
            for number, token in enumerate(tokens):
                if token in atoms:
                    top.append(atoms[token])
                elif token in _CLOSES:
                    if not stack and self._enter(token):
                        continue
                    stack.append((token, top))
                    if len(stack) > DEPTH_MAX:
                        raise ValueError(f"values are nested more than {DEPTH_MAX} deep")
                    top = []
                    continue
                elif token in ("}", "]", ")"):
                    if not stack:
                        self._leave(token)
                        continue
                    opened, outer = stack.pop()
                    if _CLOSES[opened] != token:
                        raise ValueError(f"{token!r} closes a {_NAMES[opened]}")
                    outer.append(_collection(opened, self._kept(top)))
                    top = outer
                elif token[0] == ";":
                    continue
                elif token == "#_":
                    self._discards = True
                    top.append(_DISCARD)
                    continue
                elif token[0] == "#" and token[1:2] != "#":
                    if len(token) == 1:
                        raise ValueError("'#' stands alone")
                    continue
                else:
                    value = atom(token)
                    if len(atoms) >= _CACHE_MAX:
                        atoms.clear()
                    atoms[token] = value
                    top.append(value)
                if not stack:
                    self._outermost(top, number, done)
        except ValueError as error:
            raise EdnError(str(error), number) from None
        self._top = top
        self.pending = 0 if done else self.pending + sum(map(len, tokens))
        return done

    def end(self) -> None:
        """ValueError if something is still open."""
        if self._stack or (self._entered is not None and not self._finished):
            name = _NAMES[self._stack[-1][0] if self._stack else str(self._entered)]
            raise ValueError(f"the file ends inside a {name}: it may have been cut off")
        if self._top:
            raise ValueError("the file ends after a discard")

    def _outermost(self, top: list[Any], number: int, done: list[tuple[Any, int]]) -> None:
        if self._finished:
            raise ValueError("something follows the vector of operations")
        self._begun = True
        kept = self._kept(top)
        if kept:
            done.append((kept.pop(), number))
            top.clear()
        elif top.count(_DISCARD) * 2 == len(top):
            top.clear()

    def _enter(self, token: str) -> bool:
        if not self._inside_one or self._begun or token not in "[(":
            return False
        self._begun = True
        self._entered = token
        return True

    def _leave(self, token: str) -> None:
        if self._entered is None or self._finished or _CLOSES[self._entered] != token:
            raise ValueError(f"{token!r} closes nothing")
        self._finished = True

    def _kept(self, items: list[Any]) -> list[Any]:
        if not self._discards or _DISCARD not in items:
            return items
        kept = []
        discards = 0
        for item in items:
            if item is _DISCARD:
                discards += 1
            elif discards:
                discards -= 1
            else:
                kept.append(item)
        return kept


def read_edn(text: str) -> Any:
    """The one value in `text`; HistoryError if it is not exactly one."""
    parser = Parser()
    done = parser.feed(TOKEN.findall(text))
    try:
        parser.end()
    except ValueError:
        raise HistoryError(f"{text[:60]!r} is not a whole EDN value") from None
    if len(done) != 1:
        raise HistoryError(f"one EDN value is expected, not {text[:60]!r}")
    return done[0][0]


def atom(token: str) -> Any:
    """The value of a token that is not a bracket; ValueError if it is not EDN."""
    first = token[0]
    if first == ":":
        return token
    if first == '"':
        if len(token) == 1:
            raise ValueError("a string is not closed")
        return _ESCAPE.sub(_unescape, token[1:-1]) if "\\" in token else token[1:-1]
    if first.isdigit() or (first in "+-" and token[1:2].isdigit()):
        return _number(token)
    if first == "\\":
        return _character(token[1:])
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if token.isprintable():
        return token
    raise ValueError(f"{token[:20]!r} is not EDN")


_CONSTANTS: Final = {
    "nil": None,
    "true": True,
    "false": False,
    "##Inf": math.inf,
    "##-Inf": -math.inf,
    "##NaN": math.nan,
}


def _number(token: str) -> int | float:
    if len(token) > 1000:
        raise ValueError("a number has more than 1,000 digits")
    if _INTEGER.fullmatch(token):
        return int(token.rstrip("N"))
    if _FLOAT.fullmatch(token):
        return float(token.rstrip("M"))
    raise ValueError(f"{token[:40]!r} is not a number")


def _character(name: str) -> str:
    if len(name) == 1:
        return name
    if len(name) == 5 and name[0] == "u":
        return chr(int(name[1:], 16))
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    raise ValueError(f"\\{name[:20]} is not a character")


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    if code in _ESCAPES:
        return _ESCAPES[code]
    raise ValueError(f"\\{code} is not an escape")


def _collection(opened: str, items: list[Any]) -> Any:
    if opened == "{":
        if len(items) % 2:
            raise ValueError("a map has a key without a value")
        keys = [key if isinstance(key, str) else edn(key) for key in items[::2]]
        return dict(zip(keys, items[1::2], strict=True))
    if opened == "#{":
        return sorted(items, key=_set_order)
    return items


def _set_order(item: Any) -> tuple[int, float, str]:
    """Numbers in their order, before everything else in the order of its text."""
    if isinstance(item, (int, float)) and not isinstance(item, bool):
        return (0, item, "")
    return (1, 0, edn(item))


def edn(value: Any) -> str:
    """`value` as EDN, on one line."""
    if value is None:
        return "nil"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return value if _KEYWORD.fullmatch(value) else _quoted(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"##{_infinite(value)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{edn(key)} {edn(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + " ".join(edn(item) for item in value) + "]"
    raise HistoryError(f"a {type(value).__name__} cannot be written as EDN: {value!r}")


def _infinite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"


_QUOTED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _quoted(text: str) -> str:
    return '"' + "".join(_QUOTED.get(character, character) for character in text) + '"'
