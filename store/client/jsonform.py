"""What the store holds, as JSON: for the command line, for HTTP, and back.

A value is a string if it is UTF-8, which most are, and {"base64": ...} otherwise; so nothing is lost.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any, TypeAlias, assert_never

from store.core.messages import (
    DEFINITE,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    ReadResponse,
)

Json: TypeAlias = Any


def value_json(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def value_of(given: Json) -> bytes:
    """The bytes that a JSON value stands for; raises `ValueError`."""
    match given:
        case str():
            return given.encode(errors="strict")
        case {"base64": str(text)} if len(given) == 1:
            return context_of(text)
    raise ValueError('a value is a string, or {"base64": "..."}')


def context_json(context: bytes) -> str:
    """For a JSON string, a header or the command line."""
    return b64encode(context).decode()


def context_of(text: str) -> bytes:
    """Raises `ValueError`."""
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise ValueError(f"{text[:40]!r} is not base64") from None


def failure_json(code: str, text: str, definite: bool) -> dict[str, Json]:
    return {"error": text or code, "code": code, "definite": definite}


def read_json(response: ReadResponse) -> dict[str, Json]:
    """What a key holds; the names of the members tell of which kind it is."""
    match response:
        case Found(_, value):
            return {"value": None if value is None else value_json(value)}
        case FoundSiblings(_, values, context):
            return {"values": [value_json(value) for value in values], "context": context_json(context)}
        case FoundCount(_, count):
            return {"count": count}
        case FoundElements(_, elements):
            return {"elements": [value_json(element) for element in elements]}
        case FoundFields(_, fields):
            return {"fields": {name: value_json(value) for name, value in fields.items()}}
        case Failed(_, code, text):
            return failure_json(code, text, DEFINITE.get(code, False))
    assert_never(response)
