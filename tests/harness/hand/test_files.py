from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.hand import files
from harness.hand.context import Context, Refused
from harness.hand.undo import UndoLog

contents = st.dictionaries(
    st.sampled_from(["a", "b.log", "c.sst", "deep/d.sst"]), st.binary(max_size=9000), min_size=1
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = tmp_path / "ours"
    home.mkdir()
    return Context(home, UndoLog(home / "undo.jsonl"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def write(data: Path, held: dict[str, bytes]) -> None:
    for path in sorted(data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name, content in held.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)


def read(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def differing(a: bytes, b: bytes) -> int:
    assert len(a) == len(b)
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


relaxed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)


@relaxed
@given(held=contents, bits=st.integers(1, 300), seed=st.integers(0, 2**64))
def test_so_many_bits_are_turned_over_and_no_others_and_the_seed_says_which(
    context: Context, data: Path, held: dict[str, bytes], bits: int, seed: int
) -> None:
    total = sum(map(len, held.values()))
    results = []
    for _ in range(2):
        write(data, held)
        answer = files.flip(context, {"data": str(data), "files": "*", "bits": bits, "seed": seed})
        results.append(read(data))
    assert results[0] == results[1]
    changed = {name: differing(held[name], results[0][name]) for name in held}
    assert sum(changed.values()) == answer["bits"] == min(bits, total * 8)
    assert set(answer["struck"]) == {name for name, count in changed.items() if count}
    assert answer["of_bytes"] == total


def test_only_files_that_match_are_damaged_and_links_are_not_followed(
    context: Context, data: Path, tmp_path: Path
) -> None:
    write(data, {"a.sst": bytes(100), "b.log": bytes(100), "deep/c.sst": bytes(100)})
    (tmp_path / "foreign.sst").write_bytes(bytes(100))
    (data / "link.sst").symlink_to(tmp_path / "foreign.sst")
    files.flip(context, {"data": str(data), "files": "*.sst", "bits": 500, "seed": 1})
    assert (tmp_path / "foreign.sst").read_bytes() == bytes(100)
    assert (data / "b.log").read_bytes() == bytes(100)
    assert bytes(100) not in ((data / "a.sst").read_bytes(), (data / "deep/c.sst").read_bytes())
    assert [path.name for path, _ in files.matching(data, "deep/*")] == ["c.sst"]


def test_nothing_to_damage_is_told_and_is_no_error(context: Context, data: Path) -> None:
    write(data, {"empty": b""})
    nothing = {"data": str(data), "files": "*.sst", "bits": 5, "bytes": 5, "seed": 1}
    assert files.flip(context, nothing) == {"bits": 0, "of_bytes": 0, "struck": {}}
    assert files.truncate(context, {**nothing, "files": "*"}) == {}


@pytest.mark.parametrize(("cut", "left"), [(1, 9), (10, 0), (99, 0)])
def test_the_end_of_the_file_that_was_written_to_last_is_cut_off(
    context: Context, data: Path, cut: int, left: int
) -> None:
    write(data, {"old.log": b"x" * 10, "new.log": b"xxxxxxxx\0\1", "newest.sst": b"x"})
    for at, name in enumerate(("old.log", "new.log", "newest.sst")):
        os.utime(data / name, (at, at))
    answer = files.truncate(context, {"data": str(data), "files": "*.log", "bytes": cut})
    gone = b"xxxxxxxx\0\1"[left:]
    assert answer == {"file": "new.log", "size": [10, left], "not_zero": len(gone) - gone.count(0)}
    assert read(data) == {"old.log": b"x" * 10, "new.log": b"xxxxxxxx\0\1"[:left], "newest.sst": b"x"}


def rolled_back(old: bytes, new: bytes) -> bytes:
    """As long as it is now, and zeros where nothing was then."""
    return old[: len(new)].ljust(len(new), b"\0")


@relaxed
@given(old=contents, new=contents)
def test_all_chunks_rolled_back_are_what_they_were(
    context: Context, data: Path, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    write(data, old)
    node = {"node": "n1", "data": str(data), "files": "*", "seed": 7}
    assert files.snapshot(context, node) == {"files": len(old), "bytes": sum(map(len, old.values()))}
    write(data, new)
    answer = files.roll_back(context, {**node, "fraction": 1.0})
    wanted = {name: rolled_back(old[name], new[name]) if name in old else new[name] for name in new}
    assert read(data) == wanted
    differ = sum(sum(a != b for a, b in zip(new[name], wanted[name], strict=True)) for name in new)
    assert answer["bytes"] == differ
    assert answer["chunks"] == answer["changed"]


def test_a_fraction_of_the_changed_chunks_is_rolled_back(context: Context, data: Path) -> None:
    write(data, {"a": b"x" * 4096 * 400})
    node = {"node": "n1", "data": str(data), "files": "*", "seed": 7}
    files.snapshot(context, node)
    write(data, {"a": b"x" * 4096 * 200 + b"y" * 4096 * 200})
    answer = files.roll_back(context, {**node, "fraction": 0.5})
    assert answer["changed"] == 200
    assert 70 < answer["chunks"] < 130
    assert answer["bytes"] == answer["chunks"] * 4096 == (data / "a").read_bytes().count(b"x") - 4096 * 200


@relaxed
@given(old=contents, new=contents)
def test_a_restored_copy_is_all_that_there_is(
    context: Context, data: Path, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    write(data, old)
    node = {"node": "n1", "data": str(data)}
    files.snapshot(context, node)
    write(data, new)
    answer = files.restore(context, node)
    assert read(data) == old
    assert answer["removed"] == len(new.keys() - old.keys())
    assert answer["written"] == sum(new.get(name) != old[name] for name in old)
    assert files.restore(context, node) == {"written": 0, "removed": 0}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_what_is_put_back_is_whose_it_was(context: Context, data: Path) -> None:
    write(data, {"a": b"x"})
    os.chown(data / "a", 1234, 4321)
    (data / "a").chmod(0o640)
    node = {"node": "n1", "data": str(data)}
    files.snapshot(context, node)
    (data / "a").unlink()
    files.restore(context, node)
    status = (data / "a").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1234, 4321, 0o640)


def test_without_a_snapshot_there_is_nothing_to_put_back(context: Context, data: Path) -> None:
    write(data, {"a": b"x"})
    for operation in (files.roll_back, files.restore):
        with pytest.raises(Refused, match="nothing was copied that could be put back"):
            operation(context, {"node": "n1", "data": str(data), "files": "*", "fraction": 1, "seed": 1})
    assert read(data) == {"a": b"x"}


def test_a_snapshot_replaces_the_one_before_and_is_removed_when_it_is_undone(
    context: Context, data: Path
) -> None:
    node = {"node": "n1", "data": str(data)}
    write(data, {"a": b"1"})
    files.snapshot(context, node)
    write(data, {"b": b"2"})
    files.snapshot(context, node)
    assert read(context.home / "snapshots/n1") == {"b": b"2"}
    (entry,) = context.undo.open()
    assert files.undo(entry.args).endswith("was removed")
    assert not (context.home / "snapshots/n1").exists()
    assert files.undo(entry.args).endswith("is not there")
    assert read(data) == {"b": b"2"}


def test_what_is_too_much_to_copy_is_refused_before_anything_is_done(
    context: Context, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data, {"a": bytes(3 << 20)})
    monkeypatch.setattr(files, "SNAPSHOT_BYTES_MAX", 2 << 20)
    with pytest.raises(Refused, match=re.escape(f"{data} has 3 MiB, which is too much to copy")):
        files.snapshot(context, {"node": "n1", "data": str(data)})
    assert not (context.home / "snapshots").exists()
    assert context.undo.open() == []
