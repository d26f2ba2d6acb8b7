"""What the harness knows of its own absence."""

from __future__ import annotations

from pathlib import Path

from harness.stillness import Stillness, read_spans, told


def test_only_what_is_longer_than_it_takes_to_come_round_is_told(tmp_path: Path) -> None:
    stillness = Stillness(tmp_path / "spans")
    for now_s in (0.1, 0.2, 0.6, 3.0, 3.1, 3.9):
        stillness.tick(now_s)
    assert stillness.spans == [(0.6, 3.0), (3.1, 3.9)]
    (sentence,) = told(stillness.spans)
    assert sentence.startswith("the harness stood still 2 times, 3.2 s in all (for 2.4 s at 0.6 s), ")


def test_that_it_stood_still_from_the_beginning_is_told_too(tmp_path: Path) -> None:
    stillness = Stillness(tmp_path / "spans")
    stillness.tick(0.7)
    assert stillness.spans == [(0.0, 0.7)]


def test_what_was_written_before_the_end_is_read_back(tmp_path: Path) -> None:
    stillness = Stillness(tmp_path / "spans")
    assert read_spans(tmp_path / "spans") == []
    stillness.tick(1.5)
    stillness.tick(3.0)
    with (tmp_path / "spans").open("ab") as file:
        file.write(b"[4.0, 5")
    assert read_spans(tmp_path / "spans") == stillness.spans


def test_a_place_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    stillness = Stillness(tmp_path / "gone/spans")
    stillness.tick(2.0)
    assert stillness.spans == [(0.0, 2.0)]


def test_one_that_never_did_says_nothing() -> None:
    assert told([]) == []
    assert told([(1.0, 2.0)])[0].startswith("the harness stood still once (for 1.0 s at 1.0 s), ")
