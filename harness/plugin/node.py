"""A node of somebody's service, and what its clients may say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

HOST = "127.0.0.1"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class Refused(Exception):
    """To be raised by a client function when the operation certainly did not happen, and never will. Every
    other exception leaves open whether it did."""


class Node(NamedTuple):
    """Where clients find a node."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class PlaceholderError(ValueError):
    """A command line or an environment has a placeholder that there is not: a sentence."""


def placeholders(node: Node, data: str, reached: Mapping[str, str]) -> dict[str, str]:
    """What `{name}` and so on stand for on `node`. `reached`: by name, the address at which it reaches each
    of the others."""
    return {
        "name": node.name,
        "host": node.host,
        "port": str(node.port),
        "address": node.address,
        "data": data,
        "peers": ",".join(reached.values()),
        **reached,
        node.name: node.address,
    }


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with every `{word}` replaced; other braces stay as they are. Raises `PlaceholderError`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            allowed = ", ".join(f"{{{name}}}" for name in values)
            raise PlaceholderError(f"{text!r} has {found[0]}; there are {allowed}")
        return values[found[1]]

    return _PLACEHOLDER.sub(value, text)
