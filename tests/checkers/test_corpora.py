"""Histories that others recorded from real systems, with known verdicts. Found by STORMCELLAR_CORPORA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkers.formats import detect_format, read_history
from checkers.linear import Linearizable
from checkers.models import MODELS, guess_model

FOUND = os.environ.get("STORMCELLAR_CORPORA")
pytestmark = pytest.mark.skipif(
    not FOUND, reason="STORMCELLAR_CORPORA does not name a folder of recorded histories"
)


def listed() -> list[tuple[str, str, str]]:
    if not FOUND:
        return []
    rows = Path(FOUND, "expected.tsv").read_text().splitlines()[1:]
    return [(file, model, verdict) for file, model, verdict in (row.split("\t") for row in rows if row)]


@pytest.mark.parametrize(("file", "model", "expected"), listed())
def test_every_verdict_is_right(file: str, model: str, expected: str) -> None:
    path = Path(str(FOUND), file)
    history = read_history(path)
    failed_cas = detect_format(path).failed_cas
    verdict = Linearizable(MODELS[model](), failed_cas=failed_cas, steps=2_000_000).check(history)
    assert verdict.status.value == expected
    guessed = guess_model(history)
    if guessed != model:
        verdict = Linearizable(MODELS[guessed](), failed_cas=failed_cas, steps=2_000_000).check(history)
        assert verdict.status.value == expected
