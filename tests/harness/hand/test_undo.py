"""The undo log, in whatever state it is left."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.hand.undo import UNREADABLE, Entry, UndoLog

KINDS = st.sampled_from(["iptables", "daemon", "disk"])
ARGS = st.dictionaries(st.sampled_from("ab"), st.integers(0, 2) | st.text(max_size=3), max_size=2)
STEPS = st.lists(
    st.tuples(st.just("add"), KINDS, ARGS)
    | st.tuples(st.just("done"), st.integers(0, 5))
    | st.just(("again",)),
    max_size=20,
)


def naive(lines: list[bytes]) -> list[Entry]:
    """What is open after these lines."""
    values = [json.loads(line) for line in lines]
    done = {value["done"]: i for i, value in enumerate(values) if "done" in value}
    return [
        Entry(value["n"], value["kind"], value["args"])
        for i, value in enumerate(values)
        if "n" in value and done.get(value["n"], -1) < i
    ]


@given(steps=STEPS)
def test_whatever_is_done_and_whoever_opens_it_anew_it_holds_what_is_open(
    steps: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "undo.jsonl"
    log = UndoLog(path)
    model: dict[int, tuple[object, ...]] = {}
    for step in steps:
        if step[0] == "add":
            n = log.add(step[1], step[2])  # type: ignore[arg-type]
            assert model.get(n, step[1:]) == step[1:]
            assert n in model or step[1:] not in model.values()
            model[n] = step[1:]
        elif step[0] == "done" and model:
            n = sorted(model)[step[1] % len(model)]  # type: ignore[operator]
            log.done(n)
            del model[n]
        else:
            log = UndoLog(path)
        assert {entry.n: (entry.kind, entry.args) for entry in log.open()} == model
        assert UndoLog(path).open() == log.open()
        assert path.exists() == bool(model)


@given(
    entries=st.lists(st.tuples(KINDS, ARGS, st.booleans()), min_size=1, max_size=4),
    cut=st.integers(0, 10_000),
)
def test_killed_at_any_byte_the_entry_was_there_or_it_was_not(
    entries: list[tuple[str, dict[str, object], bool]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "undo.jsonl"
    log = UndoLog(path)
    log.add("first", {})
    for kind, args, undone in entries:
        n = log.add(kind, args)
        if undone:
            log.done(n)
    left = path.read_bytes()[: cut % (path.stat().st_size + 1)]
    path.write_bytes(left)
    again = UndoLog(path)
    assert again.open() == naive(left.split(b"\n")[:-1])
    n = again.add("later", {"é": "\n"})
    assert UndoLog(path).open() == again.open()
    assert UndoLog(path).open()[-1] == Entry(n, "later", {"é": "\n"})


@pytest.mark.parametrize(
    "line",
    [
        b"\0\0\0",
        b"[]",
        b'{"n": "x", "kind": 1, "args": {}}',
        b'{"n": Infinity, "kind": "a", "args": {}}',
        b'{"n": 3}',
        b"7",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda line: str(line[:9]),
)
def test_a_line_that_makes_no_sense_hides_no_other_and_stays(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    first = log.add("iptables", {})
    path.write_bytes(path.read_bytes() + line + b"\n")
    second = UndoLog(path).add("disk", {})
    again = UndoLog(path)
    assert [entry.kind for entry in again.open()] == [UNREADABLE, "iptables", "disk"]
    again.done(first)
    again.done(second)
    assert [entry.kind for entry in UndoLog(path).open()] == [UNREADABLE]


def test_a_disk_without_room_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    n = log.add("iptables", {})
    log.add("disk", {})
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    with pytest.raises(OSError, match="No space left") as full:
        log.add("daemon", {})
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        log.done(n)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert UndoLog(path).open() == log.open()
    log.done(n)
    assert [entry.kind for entry in UndoLog(path).open()] == ["disk"]


def test_what_is_written_is_on_the_disk_before_anybody_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "undo.jsonl"
    synced: list[bytes] = []

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.encode())
        if synced[-1] == b"undo.jsonl":
            synced[-1] = path.read_bytes().splitlines()[-1]

    monkeypatch.setattr(os, "fsync", noted)
    log = UndoLog(path)
    first, second = log.add("iptables", {}), log.add("disk", {})
    directory = tmp_path.name.encode()
    entries = path.read_bytes().splitlines()
    assert synced == [entries[0], directory, entries[1]]
    log.done(first)
    assert synced[3:] == [b'{"done": 1}']
    log.done(second)
    assert synced[4:] == [directory]


def test_interrupted_in_the_middle_no_number_is_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    log = UndoLog(tmp_path / "undo.jsonl")
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.add("iptables", {})
    monkeypatch.undo()
    log.add("disk", {})
    assert [entry.kind for entry in UndoLog(tmp_path / "undo.jsonl").open()] == ["iptables", "disk"]
