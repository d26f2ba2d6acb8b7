"""What `upload` and `download` promise, against a real sshd."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
import trio

from harness.remote.connection import Connection
from harness.remote.errors import (
    TransferError,
)
from tests.support.remote import play
from tests.support.sshd import Sshd

pytestmark = pytest.mark.real


def test_files_go_there_and_back_whole_with_mode_and_progress(sshd: Sshd, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(3_000_000)
    (tmp_path / "here").write_bytes(data)
    there = tmp_path / "there"
    there.write_text("old")
    seen: list[tuple[int, int]] = []

    async def scene(connection: Connection) -> None:
        await connection.upload(
            tmp_path / "here", str(there), mode=0o750, progress=lambda done, all_: seen.append((done, all_))
        )
        await connection.download(str(there), tmp_path / "back")

    play(sshd.host, scene)
    assert there.read_bytes() == data == (tmp_path / "back").read_bytes()
    assert there.stat().st_mode & 0o7777 == 0o750
    assert seen[-1] == (len(data), len(data))
    assert sorted(seen) == seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "here", "there"]


def test_a_file_that_cannot_be_moved_is_told_by_its_name(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("new")

    async def scene(connection: Connection) -> None:
        with pytest.raises(
            TransferError, match=r"n1: .*/here could not be sent to /no/such/there: No such file"
        ):
            await connection.upload(tmp_path / "here", "/no/such/there")
        with pytest.raises(TransferError, match=r"n1: .*/gone could not be sent to .*: No such file"):
            await connection.upload(tmp_path / "gone", f"{tmp_path}/there")
        with pytest.raises(TransferError, match=r"n1: /no/such could not be fetched to .*: No such file"):
            await connection.download("/no/such", tmp_path / "back")

    play(sshd.host, scene)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_transfer_that_is_cancelled_or_too_slow_leaves_the_old_file(sshd: Sshd, tmp_path: Path) -> None:
    with (tmp_path / "here").open("wb") as big:
        big.truncate(2_000_000_000)
    there = tmp_path / "there"
    there.write_text("old")

    async def scene(connection: Connection) -> None:
        moving = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def progress(done: int, total: int) -> None:
            token.run_sync_soon(moving.set)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(connection.upload, tmp_path / "here", str(there), progress=progress))
            await moving.wait()
            nursery.cancel_scope.cancel()
        with pytest.raises(TransferError, match=r"could not be sent to .*: it took more than 0.3 s"):
            await connection.upload(tmp_path / "here", str(there), timeout_s=0.3)
        assert (await connection.run(["echo", "next"])).text == "next"

    play(sshd.host, scene)
    assert there.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there"]
