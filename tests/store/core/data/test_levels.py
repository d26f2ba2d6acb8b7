from __future__ import annotations

import pytest

from store.core.data.levels import NAMES, Level, LevelError, parse_level


@pytest.mark.parametrize(
    ("spec", "level"),
    [
        ("one", Level(1, 1)),
        ("quorum", Level(3, 3)),
        ("all", Level(5, 5)),
        ("linearizable", Level(3, 3, linearizable=True)),
        ("r=1,w=5", Level(1, 5)),
        ("r=2", Level(2, 3)),
        ("w=4", Level(3, 4)),
    ],
)
def test_levels_among_five_replicas(spec: str, level: Level) -> None:
    assert parse_level(spec, 5) == level


@pytest.mark.parametrize(
    "spec", ["", "two", "r=", "r=1w=2", "r=1,", "r=0,w=1", "w=6", "r=-1", "r=٣", "ONE", "r=1,w=2,"]
)
def test_anything_else_is_refused_by_name(spec: str) -> None:
    with pytest.raises(LevelError, match="level"):
        parse_level(spec, 5)


def test_every_named_level_parses() -> None:
    for name in NAMES:
        assert parse_level(name, 1).reads == 1
