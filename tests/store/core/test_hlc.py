from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from store.core.hlc import HybridClock, newer
from store.core.messages import Cell

stamps = st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("ab"))
cells = st.builds(Cell, stamps, st.none() | st.sampled_from([b"", b"x", b"y"]))


@given(st.lists(st.integers(0, 50) | stamps, max_size=40))
def test_stamps_rise_above_all_given_and_observed_whatever_the_wall_clock_does(
    events: list[int | tuple[int, int, str]],
) -> None:
    clock = HybridClock("n1")
    highest = (-1, -1)
    for event in events:
        if isinstance(event, int):
            stamp = clock.stamp(event)
            assert stamp[:2] > highest
            assert stamp[0] >= event
            highest = stamp[:2]
        else:
            clock.observe(event)
            highest = max(highest, event[:2])


@given(st.lists(st.none() | cells, min_size=1, max_size=4))
def test_replicas_agree_on_the_winner_in_whatever_order_they_meet_cells(found: list[Cell | None]) -> None:
    def merged(order: tuple[Cell | None, ...]) -> Cell | None:
        winner: Cell | None = None
        for cell in order:
            winner = newer(winner, cell)
        return winner

    winners = {merged(order) for order in permutations(found)}
    assert len(winners) == 1
    winner = winners.pop()
    assert newer(winner, winner) == winner
