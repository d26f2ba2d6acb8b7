"""`harness heal`, on hosts of a lab, after whatever happened there."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from harness.cluster.base import ClusterError
from harness.cluster.hosts import parcel
from harness.cluster.hosts.hand import Hand
from harness.commands import heal as heal_command
from harness.heal import heal
from harness.lab import lab
from harness.lab.lab import Lab
from harness.remote.connection import Connection
from tests.support.hands import hands, harmless, kill_at_once, srv
from tests.support.sshd import PROGRAM

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(PROGRAM is None, reason="sshd is not installed (apt-get install openssh-server)"),
    pytest.mark.skipif(
        shutil.which("iptables", path="/usr/sbin:/sbin") is None,
        reason="iptables is not installed (apt-get install iptables)",
    ),
]
PATIENCE_S = 30
LONG_S = 60.0
NAME = f"heal-{os.getpid()}"


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    try:
        yield lab.up(NAME, 2)
    finally:
        lab.down(NAME)


@pytest.fixture(autouse=True)
def harmless_hand(made: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    content = harmless()
    monkeypatch.setattr(parcel, "parcel", lambda: content)
    for number in range(2):
        shutil.rmtree(srv(made, number) / "stormcellar", ignore_errors=True)


def play(made: Lab, scene: Callable[[Hand], Awaitable[None]]) -> None:
    """With a hand at work on n1."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with Connection(made.hosts[0]) as connection:
                hand = Hand("n1", connection, LONG_S)
                await hand.start()
                await scene(hand)

    trio.run(main)


def healed(made: Lab) -> list[tuple[bool, str]]:
    reports = trio.run(heal, made.hosts)
    assert [report.host for report in reports] == ["n1", "n2"]
    return [(report.clean, report.sentence) for report in reports]


NOTHING = [(True, "n1: nothing was left"), (True, "n2: nothing was left")]


def test_on_hosts_that_were_never_used_nothing_is_done(made: Lab) -> None:
    assert healed(made) == NOTHING
    assert not (srv(made) / "stormcellar").exists()


def test_what_nobody_healed_is_undone_and_told_host_by_host(made: Lab) -> None:
    async def scene(hand: Hand) -> None:
        for name in "ab":
            await hand.do("mark", {"path": f"/srv/{name}"})
        hand._listening.cancel()  # as of a harness that is gone, too
        kill_at_once(hands(made))

    play(made, scene)
    assert (srv(made) / "a").exists()
    undone = "n1: undone: /srv/b was removed; /srv/a was removed"
    assert healed(made) == [(True, undone), (True, "n2: nothing was left")]
    assert not (srv(made) / "a").exists()
    assert healed(made) == NOTHING


def test_the_hand_of_a_run_that_goes_on_is_ended_and_what_it_undid_is_told(made: Lab) -> None:
    async def scene(hand: Hand) -> None:
        await hand.do("mark", {"path": "/srv/mark"})
        reports = await heal(made.hosts)
        assert reports[0].sentence == "n1: the hand of a run was ended; undone: /srv/mark was removed"
        assert reports[0].clean
        assert not hands(made)
        with pytest.raises(ClusterError, match=r"n1: the hand is gone: it was asked to end \(SIGTERM\)"):
            await hand.do("echo", {})

    play(made, scene)


def test_a_hand_that_does_not_end_is_killed(made: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = parcel.modules()["harness/hand/ending.py"]
    content = harmless(ending=patient.replace(b"END_LIMIT_S = 15.0", b"END_LIMIT_S = 0.3"))
    monkeypatch.setattr(parcel, "parcel", lambda: content)

    async def scene(hand: Hand) -> None:
        await hand.do("mark", {"path": "/srv/mark"})
        os.kill(max(hands(made)), signal.SIGSTOP)
        reports = await heal(made.hosts)
        assert reports[0].sentence == "n1: the hand of a run was ended; undone: /srv/mark was removed"
        assert not hands(made)

    play(made, scene)


def test_what_cannot_be_undone_is_told_and_stays_for_another_time(made: Lab) -> None:
    async def scene(hand: Hand) -> None:
        await hand.do("mark", {"path": "/srv/a"})
        await hand.do("mark", {"path": "/srv/b"})
        (srv(made) / "a").write_text("stubborn")
        with suppress(ClusterError):
            await hand.aclose()

    play(made, scene)
    stuck = "n1: not undone: mark {'path': '/srv/a'}: /srv/a is stubborn"
    assert healed(made)[0] == (False, stuck)
    (srv(made) / "a").write_text("no more")
    assert healed(made)[0] == (True, "n1: undone: /srv/a was removed")


def test_a_host_whose_log_makes_no_sense_is_of_use_again_once_that_is_set_aside(
    made: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused() -> None:
        async with Connection(made.hosts[0]) as connection:
            with pytest.raises(
                ClusterError, match=f"^n1: what an earlier run left cannot be undone: {line}: see "
            ):
                await Hand("n1", connection, LONG_S).start()

    async def nothing(hand: Hand) -> None:
        assert await hand.aclose() == []

    log = "/srv/stormcellar/undo.jsonl"
    line = rf"line 1 of {log} makes no sense \('rubbish'\), so nobody knows what it was to undo"
    (srv(made) / "stormcellar").mkdir()
    (srv(made) / "stormcellar/undo.jsonl").write_text("rubbish\n")
    trio.run(refused)
    parser = argparse.ArgumentParser()
    heal_command.add_to(parser)
    args = parser.parse_args(["--lab", NAME, "--set-aside"])
    assert args.command(args, ()) == 255
    out, err = capsys.readouterr()
    told = f"harness: n1: not undone: {line}: set aside in {log}.unreadable, so the host can be used again\n"
    assert out == "n2: nothing was left\n"
    assert re.fullmatch(told, err)
    assert healed(made) == NOTHING
    play(made, nothing)


def test_what_others_have_put_on_the_host_is_not_touched(made: Lab) -> None:
    foreign = ["-A", "INPUT", "-s", "192.0.2.7", "-m", "comment", "--comment", "theirs", "-j", "DROP"]
    firewall: list[str] = []

    async def scene(hand: Hand) -> None:
        connection = hand._connection
        await connection.run(["iptables", *foreign])
        await connection.run(["mount", "-t", "tmpfs", "theirs", "/srv/theirs"])
        await connection.run(["sh", "-c", "setsid sleep 601 </dev/null >/dev/null 2>&1 & echo"])
        firewall.append(rules((await connection.run(["iptables-save"])).text))
        await hand.do("mark", {"path": "/srv/mark"})
        await hand.do("daemon", {"seconds": "600"})
        reports = await heal(made.hosts)
        assert reports[0].clean
        assert rules((await connection.run(["iptables-save"])).text) == firewall[0]
        assert "192.0.2.7" in firewall[0]
        assert "theirs /srv/theirs" in (await connection.run(["cat", "/proc/mounts"])).text
        sleeping = (await connection.run(["ps", "-e", "-o", "args="])).text
        assert "sleep 601" in sleeping
        assert "sleep 600" not in sleeping
        await connection.run(["umount", "/srv/theirs"])

    (srv(made) / "theirs").mkdir()
    (srv(made) / "theirs.txt").write_text("theirs")
    play(made, scene)
    assert (srv(made) / "theirs.txt").read_text() == "theirs"


def test_a_host_that_is_not_reached_keeps_none_of_the_others_from_it(made: Lab) -> None:
    async def scene(hand: Hand) -> None:
        await hand.do("mark", {"path": "/srv/mark"})
        gone = replace(made.hosts[1], port=23)
        reports = await heal([gone, made.hosts[0]])
        assert not reports[0].clean
        assert reports[0].sentence.startswith("n2: 10.77.0.2 port 23 does not answer")
        assert reports[1].sentence == "n1: the hand of a run was ended; undone: /srv/mark was removed"

    play(made, scene)


def test_the_same_by_hand(made: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    heal_command.add_to(parser)

    def harness(*words: str) -> tuple[int, str, str]:
        args = parser.parse_args(words)
        code = args.command(args, words)
        return (code, *capsys.readouterr())

    assert harness("--lab", NAME) == (0, "n1: nothing was left\nn2: nothing was left\n", "")
    key, known = tmp_path / "key", tmp_path / "known"
    nodes = tmp_path / "nodes"
    nodes.write_text(f"root@127.0.0.1:1 name=far key={key} known_hosts={known}\n")
    code, out, err = harness("--nodes-file", str(nodes))
    assert (code, out) == (255, "")
    assert err.startswith("harness: far: 127.0.0.1 port 1 does not answer: Connection refused")
    with pytest.raises(SystemExit):
        harness("--lab", NAME, "--nodes-file", str(nodes))


def rules(saved: str) -> str:
    """Without times and counters."""
    return "\n".join(line for line in saved.splitlines() if line.startswith("-"))
