"""A system of somebody else's, by a name as in `MODULE:CLASS`, from where the harness is started.

What it raises or answers beyond what `System` promises becomes a `ClusterError` that says where, so that it
keeps no host from being healed. What its sessions raise leaves an operation of which nothing is known
(harness/interpreter.py).
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from harness.cluster.base import ClusterError, NotSent, Session
from harness.systems.base import Daemon, Site, System

_FACTS: Final = System.__annotations__
_PARTS: Final = (*_FACTS, *(part for part in vars(System) if not part.startswith("_")))

T = TypeVar("T")


class _Facts(msgspec.Struct, frozen=True):
    name: str
    role_names: tuple[str, ...]
    begins_anew: bool
    port: int


def load(name: str) -> System:
    """One made by calling what the name names, without arguments. Raises `ValueError`: one sentence."""
    module_name, _, made_by = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(module_name), made_by)()
        missing = [part for part in _PARTS if not hasattr(made, part)]
    except (Exception, SystemExit) as error:  # it is somebody else's code
        raise ValueError(f"{name} cannot be made: {_told(error)}") from None
    if missing:
        raise ValueError(f"{name} is no System (docs/systems.md): it lacks {', '.join(missing)}")
    try:
        facts = msgspec.convert({fact: getattr(made, fact) for fact in _FACTS}, _Facts)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name} is no System (docs/systems.md): {error}") from None
    return _Foreign(name, made, facts)


class _Foreign:
    """Implements `System`, by one of which nothing is certain."""

    def __init__(self, called: str, made: System, facts: _Facts) -> None:
        self.name = facts.name
        self.role_names = facts.role_names
        self.begins_anew = facts.begins_anew
        self.port = facts.port
        self._called = called
        self._made = made

    async def setup(self, site: Site, sites: Sequence[Site]) -> None:
        with self._doing("setup"):
            await self._made.setup(site, sites)

    def daemons(self, site: Site) -> tuple[Daemon, ...]:
        with self._doing("daemons"):
            return _checked(self._made.daemons(site), tuple[Daemon, ...])

    def data(self, site: Site) -> str:
        with self._doing("data"):
            return _checked(self._made.data(site), str)

    async def connect(self, site: Site) -> Session:
        return await self._made.connect(site)

    async def serves(self, site: Site) -> bool:
        with self._doing("serves"):
            return bool(await self._made.serves(site))

    async def roles(self, sites: Sequence[Site], running: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        with self._doing("roles"):
            return _checked(await self._made.roles(sites, running), dict[str, tuple[str, ...]])

    def logs(self, site: Site) -> tuple[str, ...]:
        with self._doing("logs"):
            return _checked(self._made.logs(site), tuple[str, ...])

    async def teardown(self, site: Site) -> None:
        with self._doing("teardown"):
            await self._made.teardown(site)

    @contextmanager
    def _doing(self, part: str) -> Iterator[None]:
        try:
            yield
        except (ClusterError, NotSent):
            raise
        except Exception as error:
            raise ClusterError(f"{self._called} broke in {part}: {_told(error)}") from None


def _checked(value: Any, kind: type[T]) -> T:
    return msgspec.convert(value, kind, from_attributes=True)


def _told(error: BaseException) -> str:
    """What it is, and where it comes from if that is a file of theirs."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    here = Path.cwd()
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if here in Path(frame.filename).parents
    ]
    if not frames:
        return said
    return f"{said} ({Path(frames[-1].filename).relative_to(here)}, line {frames[-1].lineno})"
