"""Many runs in which all happens at once: members change, nodes crash, lie down and lose their data, messages
are lost, doubled and reordered; linearizable keys stay so and no write that was acknowledged at quorum is
lost."""

from __future__ import annotations

import os
from typing import Any

import pytest

from store.core.messages import Done
from tests.support.owners import Voyage, is_linearizable

SEEDS = int(os.environ.get("STORMCELLAR_VOYAGES", "15"))
"""Of each kind of run; some thousands for whoever has changed the protocol."""


@pytest.mark.parametrize(
    ("run", "soup"),
    [
        ({}, {}),
        ({"crashes": 0.1, "blackouts": 0.03}, {}),
        ({"wipes": 0.08}, {}),
        ({}, {"loss": 0.1, "twice": 0.1}),
        ({}, {"nodes": 6, "replication": 5}),
        ({"moves": 0.2}, {"nodes": 3, "replication": 2}),
        ({"moves": 0.1}, {"replication": 1}),
    ],
    ids=["ordinary", "crashes", "lost disks", "lossy", "five replicas", "restless", "one replica"],
)
def test_nothing_is_lost_while_ownership_moves(run: dict[str, Any], soup: dict[str, Any]) -> None:
    ok = written = moves = reached = 0
    for seed in range(SEEDS):
        voyage = Voyage(seed, **soup)
        voyage.run(**run)
        assert all(is_linearizable(clients) for clients in voyage.clients), seed
        assert voyage.lost == [], seed
        ok += sum(clients.counts["ok"] for clients in voyage.clients)
        written += len(voyage.written)
        moves += voyage.soup.newest().epoch // 2
        reached += sum(isinstance(response, Done) for _, response in voyage.wishes)
    assert ok > SEEDS * 15
    assert written > SEEDS * 20
    assert moves > SEEDS
    assert reached > 0
