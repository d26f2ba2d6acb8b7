"""The disk: what was acknowledged is there after any end of the process, and damage is never passed over."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.core.messages import Acceptor, Cell, Record, Register
from store.persistence.storage import RECORDS, RocksStorage, StorageError

CELL = Cell((1, 0, "n1"), b"value")
ACCEPTOR = Acceptor((3, "n1"), (2, "n2"), Register(b"held", 4, (("n1", 7),)))


def opened(directory: Path, node: str = "n1", cluster: str = "demo") -> RocksStorage:
    return RocksStorage(directory, cluster, node)


def reopened(storage: RocksStorage, directory: Path) -> RocksStorage:
    storage.close()
    return opened(directory)


def log_of(directory: Path) -> Path:
    (log,) = (directory / RECORDS).glob("*.log")
    return log


def test_a_record_can_be_read_back_at_once_and_after_reopening(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    assert storage.get("v/k") is None
    storage.commit([("v/k", CELL), ("p/k", ACCEPTOR)])
    for _ in range(2):
        assert storage.get("v/k") == CELL
        assert storage.get("p/k") == ACCEPTOR
        assert storage.get("v/other") is None
        storage = reopened(storage, tmp_path)
    storage.close()


def test_later_entries_of_a_batch_win(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.commit([("v/k", CELL), ("v/k", Cell((2, 0, "n1"), None))])
    assert storage.get("v/k") == Cell((2, 0, "n1"), None)
    storage.close()


def test_a_record_that_is_removed_is_gone_after_reopening_too(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.commit([("v/k", CELL), ("v/l", CELL)])
    storage.commit([("v/k", None)])
    for _ in range(2):
        assert storage.get("v/k") is None
        assert storage.scan("v/", "", 9) == ["v/l"]
        storage = reopened(storage, tmp_path)
    storage.close()


ALPHABET = "ab\x01\x7f\x80ÿ\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
"""Where the order of UTF-8 bytes and that of UTF-16 units differ, and where lengths change."""
KEYS = st.builds(str.__add__, st.sampled_from(["v/", "p/", "h/n1/", ""]), st.text(ALPHABET, max_size=3))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(KEYS, st.booleans()), max_size=30),
    st.lists(st.tuples(KEYS, KEYS, st.integers(1, 8)), max_size=12),
)
def test_a_scan_gives_what_sorting_all_keys_by_their_bytes_gives(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[str, bool]],
    scans: list[tuple[str, str, int]],
) -> None:
    storage = opened(tmp_path_factory.mktemp("storage"))
    model = set[str]()
    for key, kept in written:
        storage.commit([(key, CELL if kept else None)])
        (model.add if kept else model.discard)(key)
    ordered = sorted(model, key=str.encode)
    for prefix, after, limit in scans:
        naive = [key for key in ordered if key.startswith(prefix) and key.encode() > after.encode()]
        assert storage.scan(prefix, after, limit) == naive[:limit]
    storage.close()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["v/a", "v/b", "p/é", "v/" + "k" * 1024]), st.binary(max_size=8)))
    )
)
def test_storage_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, batches: list) -> None:  # type: ignore[type-arg]
    directory = tmp_path_factory.mktemp("storage")
    storage, model = opened(directory), dict[str, Record]()
    for batch in batches:
        records = [(key, Cell((1, 0, "n1"), value)) for key, value in batch]
        storage.commit(records)
        model.update(records)
    storage = reopened(storage, directory)
    for key in ("v/a", "v/b", "p/é", "v/" + "k" * 1024):
        assert storage.get(key) == model.get(key)
    storage.close()


def test_the_boot_number_rises_with_every_call_and_opening(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    assert [storage.next_boot(), storage.next_boot()] == [1, 2]
    storage = reopened(storage, tmp_path)
    assert storage.next_boot() == 3
    storage.close()


@pytest.mark.parametrize(("node", "cluster"), [("n2", "demo"), ("n1", "other")])
def test_a_directory_of_another_node_is_refused_and_left_as_it_is(
    tmp_path: Path, node: str, cluster: str
) -> None:
    opened(tmp_path).close()
    with pytest.raises(StorageError, match=f"{tmp_path}: belongs to node 'n1' of cluster 'demo'"):
        opened(tmp_path, node, cluster)
    opened(tmp_path).close()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    with pytest.raises(StorageError, match=f"{tmp_path}: is in use by another process"):
        opened(tmp_path)
    storage.close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/data: cannot be opened: Not a directory"):
        opened(tmp_path / "file" / "data")
    with pytest.raises(StorageError, match="file: cannot be opened: File exists"):
        opened(tmp_path / "file")


def crashed(directory: Path, commits: int) -> Path:
    """What a node that was killed after so many commits leaves behind."""
    storage = opened(directory / "running")
    for number in range(commits):
        storage.commit([(f"v/{number}", CELL)])
    shutil.copytree(directory / "running", directory / "crashed")
    storage.close()
    return directory / "crashed"


def test_what_was_committed_is_there_after_a_crash(tmp_path: Path) -> None:
    storage = opened(crashed(tmp_path, commits=5))
    assert [storage.get(f"v/{number}") for number in range(5)] == [CELL] * 5
    storage.close()


@pytest.mark.parametrize("cut_bytes", [1, 3, 20])
def test_a_torn_tail_of_the_log_takes_nothing_before_it_along(tmp_path: Path, cut_bytes: int) -> None:
    directory = crashed(tmp_path, commits=5)
    log = log_of(directory)
    log.write_bytes(log.read_bytes()[:-cut_bytes])
    storage = opened(directory)
    assert [storage.get(f"v/{number}") for number in range(5)] == [CELL] * 4 + [None]
    storage.commit([("v/4", CELL)])
    storage = reopened(storage, directory)
    assert storage.get("v/4") == CELL
    storage.close()


def test_damage_before_the_tail_refuses_to_open(tmp_path: Path) -> None:
    directory = crashed(tmp_path, commits=50)
    log = bytearray(log_of(directory).read_bytes())
    log[len(log) // 2] ^= 0xFF
    log_of(directory).write_bytes(log)
    with pytest.raises(StorageError, match=f"{directory}: is damaged: Corruption"):
        opened(directory)


WRITER = """
import sys
from pathlib import Path
from store.core.messages import Cell
from store.persistence.storage import RocksStorage

storage = RocksStorage(Path(sys.argv[1]), "demo", "n1")
number = 0
while True:
    batch = [(f"v/{number + i}", Cell((number + i, 0, "n1"), b"x" * 5000)) for i in range(20)]
    storage.commit(batch)
    number += 20
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def writer(directory: Path, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit if os.name == "posix" else None,
    )


@pytest.mark.real
def test_nothing_acknowledged_is_lost_when_the_process_is_killed_under_load(tmp_path: Path) -> None:
    acknowledged = 0
    for rounds in (3, 150):  # the second writes enough for the engine to have flushed its memory to files
        with writer(tmp_path) as process:
            assert process.stdout is not None
            for _ in range(rounds):
                acknowledged = int(process.stdout.readline())
            process.kill()
            acknowledged = int((process.stdout.read().split("\n")[-2:-1] or [acknowledged])[0])
        storage = opened(tmp_path)
        for number in range(acknowledged):
            assert storage.get(f"v/{number}") == Cell((number, 0, "n1"), b"x" * 5000)
        storage.close()


@pytest.mark.real
def test_a_disk_that_takes_no_more_is_an_error_and_not_an_acknowledgement(tmp_path: Path) -> None:
    with writer(tmp_path, limit_bytes=1 << 20) as process:
        output, errors = process.communicate()
    acknowledged = int(output.split()[-1])
    assert process.returncode == 1
    assert f"StorageError: data directory {tmp_path}: cannot be written: IO error" in errors
    storage = opened(tmp_path)
    assert all(storage.get(f"v/{number}") is not None for number in range(acknowledged))
    storage.close()
