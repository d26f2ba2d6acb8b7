"""The history on disk: whole lines, in time, and one clear sentence when it cannot be."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from checkers.history import Op
from harness.recorder import FLUSH_S, Recorder, RecorderError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def ops(count: int) -> list[Op]:
    return [
        Op(index=i, time=i * 10, process=i % 3, f="write", key="k", value=[i, {"b": 1, "a": "é"}])
        for i in range(count)
    ]


def read(path: Path) -> list[Op]:
    return [msgspec.json.decode(line, type=Op) for line in path.read_bytes().splitlines()]


def until_written(recorder: Recorder, count: int) -> None:
    """The writer is a real thread; it is given real time, but only as much as it needs."""
    deadline = time.monotonic() + 10
    while len(read(recorder.path)) < count:
        assert time.monotonic() < deadline, "the recorder has not written"
        recorder.tick()
        time.sleep(0.001)


def keep_recording(recorder: Recorder, clock: Clock) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        clock.now_s += 1
        recorder.record(ops(1)[0])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(tmp_path: Path, clock: Clock) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "history.jsonl", clock)
    yield recorder
    recorder.close()


def test_everything_is_in_the_file_once_closed_and_the_digest_is_the_files(recorder: Recorder) -> None:
    for op in ops(100):
        recorder.record(op)
    recorder.close()
    recorder.close()
    assert read(recorder.path) == ops(100) == recorder.history
    assert recorder.digest == hashlib.sha256(recorder.path.read_bytes()).hexdigest()


def test_lines_reach_the_disk_while_the_run_goes_on(recorder: Recorder, clock: Clock) -> None:
    first, second, third = ops(3)
    recorder.record(first)
    clock.now_s = FLUSH_S
    recorder.record(second)
    until_written(recorder, 2)
    recorder.record(third)
    recorder.tick()
    clock.now_s = 2 * FLUSH_S
    recorder.tick()
    until_written(recorder, 3)
    assert FLUSH_S <= 0.5


def test_nothing_is_written_before_it_is_due(recorder: Recorder, clock: Clock) -> None:
    clock.now_s = FLUSH_S * 0.9
    for op in ops(10):
        recorder.record(op)
    assert recorder.path.read_bytes() == b""


def test_the_bytes_do_not_depend_on_the_order_in_which_a_value_was_built(tmp_path: Path) -> None:
    digests = []
    for name, value in (("a", {"x": 1, "y": {"p", "q", "r"}}), ("b", {"y": {"r", "q", "p"}, "x": 1})):
        recorder = Recorder(tmp_path / name)
        recorder.record(Op(f="x", value=value))
        recorder.close()
        digests.append(recorder.digest)
    assert digests[0] == digests[1]


def test_a_full_disk_is_one_sentence_and_the_history_stays(clock: Clock) -> None:
    recorder = Recorder(Path("/dev/full"), clock)
    said = "the history /dev/full cannot be written: No space left on device"
    recorder.record(ops(1)[0])
    clock.now_s = 1
    recorder.tick()
    with pytest.raises(RecorderError, match=said):
        keep_recording(recorder, clock)
    assert len(recorder.history) > 1
    with pytest.raises(RecorderError, match=said):
        recorder.close()


def test_a_line_that_was_written_in_part_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path / "history.jsonl")
    recorder.record(ops(1)[0])
    write = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return write(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(RecorderError, match="No space left"):
        recorder.close()
    assert recorder.path.read_bytes() == b""


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"no/history.jsonl cannot be written: No such file or directory"):
        Recorder(tmp_path / "no" / "history.jsonl")


def test_a_value_that_is_not_json_is_named(recorder: Recorder) -> None:
    with pytest.raises(RecorderError, match=r"operation 3 \(odd\) cannot be written as JSON: .*object"):
        recorder.record(Op(index=3, f="odd", value=object()))
