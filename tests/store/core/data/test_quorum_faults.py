"""In the soup, with losses, doubles, crashes and partitions: what was acknowledged is there in the end, once,
and what certainly failed is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.data_storm import (
    Ended,
    counted,
    kept_as_elements,
    kept_as_fields,
    kept_as_siblings,
    written_last,
)

SEEDS = range(25)


@pytest.mark.parametrize("run", [counted, kept_as_siblings, kept_as_elements, kept_as_fields, written_last])
def test_what_was_acknowledged_is_there_in_the_end_and_once(run: Callable[[int], Ended]) -> None:
    outcomes = [how for seed in SEEDS for how in run(seed).values()]
    assert outcomes.count("ok") > len(outcomes) // 3
    assert outcomes.count("info") > 10
