"""Hypothesis strategies for whatever the wire lets through: from a message's type and the limits in it, with
a liking for the extremes."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

NUMBERS: Final = (0, 1, 2, 3, 7, 255, 1 << 20, 1 << 31, (1 << 53) + 1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1)
HUGE: Final = ((1 << 63), (1 << 64) - 1)
TEXTS: Final = (
    *("", "k", "b/k", "n1", "n2", "n3", "n9", "-", "n1#1", "alive", "quorum", "one", "linearizable", "r=1"),
    *("\x00", "\x00layout/2", "\x00layout/", "h/n2/k", "127.0.0.1:1", "nowhere", "é🌀", "x" * 64),
)
BLOBS: Final = (b"", b"v", b"\x80", b"\xc1", b"\x93\x01\x02", bytes(40))
DEPTH_MAX: Final = 6


def wellformed(kind: Any) -> st.SearchStrategy[Any]:
    """Values that decode as `kind`, which may be any type that msgspec knows, as plain values: tuples for
    structs."""
    return _strategy(inspect.type_info(kind), DEPTH_MAX)


def payloads(kind: Any) -> st.SearchStrategy[bytes]:
    """Those, encoded."""
    return wellformed(kind).map(msgspec.msgpack.encode)


def _strategy(info: inspect.Type, depth: int) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _strategy(inner, depth)
        case inspect.UnionType(types=kinds):
            return st.one_of([_strategy(kind, depth) for kind in kinds])
        case inspect.StructType(tag=tag, fields=fields):
            return _struct(tag, fields, depth)
        case inspect.IntType(ge=least, le=most):
            allowed = [n for n in (*NUMBERS, *HUGE, *(-n for n in NUMBERS)) if _within(n, least, most)]
            return st.sampled_from(allowed)
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern):
            texts = [text for text in TEXTS if _within(len(text), least, most)]
            if pattern is not None:
                texts = [text for text in texts if re.search(pattern, text)]
            return st.sampled_from(texts)
        case inspect.BytesType(min_length=least, max_length=most):
            if least == most and most is not None:
                return st.just(bytes(most))
            return st.sampled_from([blob for blob in BLOBS if _within(len(blob), least, most)])
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.VarTupleType(item_type=item, min_length=least):
            return st.lists(_strategy(item, depth - 1), min_size=least or 0, max_size=max(least or 0, 3))
        case inspect.TupleType(item_types=items):
            return st.tuples(*[_strategy(item, depth) for item in items])
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_strategy(key, depth), _strategy(value, depth - 1), max_size=2)
        case inspect.AnyType():
            return st.sampled_from([None, 0, "x", [], {}, [[1]], b"\0"])
        case inspect.FloatType():
            return st.sampled_from([0.0, -1.5, 1e300])
    raise TypeError(f"no strategy for {info}")


def _struct(tag: Any, fields: tuple[inspect.Field, ...], depth: int) -> st.SearchStrategy[Any]:
    tags = [] if tag is None else [st.just(tag)]
    return st.tuples(*tags, *[_field(field, depth) for field in fields])


def _field(field: inspect.Field, depth: int) -> st.SearchStrategy[Any]:
    """Of another epoch than the first, a question is mostly not even looked at."""
    held = _strategy(field.type, depth)
    return st.one_of(st.just(1), held) if field.name in ("epoch", "rid", "session") else held


def _within(number: int, least: int | None, most: int | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)


def mutated(payload: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same, damaged: bytes changed, cut off, doubled, nested deeply, or made up altogether."""
    place = st.integers(0, 300)
    return st.one_of(
        payload,
        st.tuples(payload, place, st.integers(0, 255)).map(lambda t: _with_byte(*t)),
        st.tuples(payload, place).map(lambda t: t[0][: t[1]]),
        st.tuples(payload, place, payload).map(lambda t: t[0][: t[1]] + t[2]),
        st.tuples(st.sampled_from([b"\x91", b"\x81\xa1k", b"\x92\x0f"]), st.integers(1, 3000)).map(
            lambda t: t[0] * t[1]
        ),
        st.sampled_from([b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff\x01"]),
        st.binary(max_size=60),
    )


def _with_byte(payload: bytes, at: int, byte: int) -> bytes:
    at %= max(1, len(payload))
    return payload[:at] + bytes([byte]) + payload[at + 1 :]
