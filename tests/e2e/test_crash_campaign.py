"""The small version of `make crash-campaign`."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.crash_campaign import Campaign


class WithLoss(Campaign):
    """Believes that a put was acknowledged which was not, as if the store had lost it."""

    async def _read_all_again(self) -> None:
        self.seen.acknowledged.append("q/lost")
        await super()._read_all_again()


@pytest.mark.real
def test_nothing_acknowledged_is_lost_in_a_few_kills_under_load_and_a_loss_would_show(tmp_path: Path) -> None:
    seen = trio.run(WithLoss(nodes=3, seed=2).run, 5, tmp_path)
    invented = [
        text for text in seen.surprises if text.startswith("q/lost, which was acknowledged at quorum")
    ]
    assert len(invented) == 1
    assert "reads as Found(" in invented[0]
    assert [text for text in seen.surprises if text not in invented] == []
    assert seen.cycle == 5
    assert set(seen.kills) == {"one", "most", "all"}
