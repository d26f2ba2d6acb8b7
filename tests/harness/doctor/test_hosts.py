"""The doctor and the preflight on hosts of a lab, healthy ones and such as lack something."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from harness import cli
from harness.cluster.base import ClusterError
from harness.cluster.hosts.parcel import Machine
from harness.doctor.examine import Row, examine
from harness.doctor.preflight import preflight
from harness.hand.tool import PATH
from harness.lab import lab
from harness.lab.keys import new_key_pair
from harness.lab.lab import Lab
from harness.remote.connection import Connection
from harness.remote.host import Host
from nemesis.compose import FAULTS
from tests.support.machine import network_and_mounts

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None,
        reason="sshd is not installed (apt-get install openssh-server)",
    ),
]
PATIENCE_S = 60
NAME = "doctor-test"
CALM = ("partition", "kill", "pause", "clock")


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    """Its host n1 has a user `plain`, who may not become root."""
    up = lab.up(NAME, 3)
    try:
        for file, line in (
            ("passwd", "plain:x:54322:54322::/:/bin/sh\n"),
            ("shadow", "plain:*:20000:0:99999:7:::\n"),
        ):
            with (up.layout.directory / "hosts/n1/etc" / file).open("a") as users:
                users.write(line)
        yield up
    finally:
        lab.down(NAME)


def with_hosts(hosts: dict[str, Host], act: Callable[[dict[str, Connection]], Awaitable[None]]) -> None:
    async def main() -> None:
        connections = {name: Connection(host) for name, host in hosts.items()}
        with trio.fail_after(PATIENCE_S):
            try:
                await act(connections)
            finally:
                for connection in connections.values():
                    await connection.aclose()

    trio.run(main)


def by_name(made: Lab, **changes: object) -> dict[str, Host]:
    """All hosts; n1 with these changes."""
    hosts = {host.name: host for host in made.hosts}
    hosts["n1"] = replace(hosts["n1"], **changes)  # type: ignore[arg-type]
    return hosts


def refusal(hosts: dict[str, Host], faults: tuple[str, ...] = CALM) -> str:
    said: list[str] = []

    async def act(connections: dict[str, Connection]) -> None:
        with pytest.raises(ClusterError) as refused:
            await preflight(faults, connections)
        said.append(str(refused.value))

    with_hosts(hosts, act)
    return said[0]


def rows_of(hosts: dict[str, Host], faults: tuple[str, ...]) -> list[Row]:
    found: list[Row] = []

    async def act(connections: dict[str, Connection]) -> None:
        found.extend(await examine(connections, faults, deep=True))

    with_hosts(hosts, act)
    return found


def test_hosts_that_have_everything_pass_and_are_left_as_they_were(made: Lab) -> None:
    before = network_and_mounts()

    async def act(connections: dict[str, Connection]) -> None:
        look = ["sh", "-c", "iptables-save; tc qdisc; ip -o link; ls -A /srv; cat /proc/mounts"]
        untouched = {name: (await there.run(look)).text for name, there in connections.items()}
        await preflight([*CALM, "packets:loss"], connections)
        await examine(connections, list(FAULTS), deep=True)
        assert {name: (await there.run(look)).text for name, there in connections.items()} == untouched

    with_hosts(by_name(made), act)
    assert network_and_mounts() == before


def test_a_wrong_key_is_one_sentence(made: Lab, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(new_key_pair().private)
    assert refusal(by_name(made, keys=(wrong,))) == (
        f"n1: it does not let root in with the key {wrong}: ssh-copy-id -p 22 root@10.77.0.1"
    )


def test_an_unreachable_host_is_one_sentence(made: Lab) -> None:
    assert refusal(by_name(made, port=2222)) == (
        "n1: 10.77.0.1 port 2222 does not answer: Connection refused: start it and its sshd, or correct its "
        "place in the hosts file"
    )


def test_a_host_with_another_key_is_one_sentence(made: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"10.77.0.1 {new_key_pair().public}\n")
    said = refusal(by_name(made, known_hosts=(known,)))
    assert said.startswith("n1: it shows the key SHA256:")
    assert said.endswith(
        f"and 10.77.0.1 in {known} is another one: it was installed anew, or it is not that host: "
        "ssh-keyscan -p 22 10.77.0.1 shows its keys"
    )


@pytest.mark.skipif(shutil.which("sudo") is None, reason="sudo is not installed (apt-get install sudo)")
def test_no_sudo_is_one_sentence(made: Lab) -> None:
    assert refusal(by_name(made, user="plain")) == (
        "n1: sudo without a password for plain (sudo: a password is required): as root there: apt-get "
        "install sudo && echo 'plain ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/stormcellar"
    )


def test_the_same_host_twice_is_one_sentence_for_each(made: Lab) -> None:
    hosts = {**by_name(made), "twin": made.hosts[0]}
    assert refusal(hosts) == (
        "n1: it is the same machine as twin: name it once in the hosts file; "
        "twin: it is the same machine as n1: name it once in the hosts file"
    )


def test_several_problems_are_told_at_once_in_the_hosts_order(made: Lab, tmp_path: Path) -> None:
    hosts = by_name(made, port=2222)
    hosts["n3"] = replace(hosts["n3"], port=2223)
    said = refusal(hosts).split("; ")
    assert [sentence.partition(":")[0] for sentence in said] == ["n1", "n3"]


def path_of(program: str) -> str:
    found = shutil.which(program, path=PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return os.path.realpath(found)


@asynccontextmanager
async def without(program: str, there: Connection) -> AsyncIterator[None]:
    """For as long it cannot be run on that host."""
    path = path_of(program)
    await there.run(["mount", "--bind", "/dev/null", path])
    try:
        yield
    finally:
        await there.run(["umount", path])


@pytest.mark.parametrize(
    ("program", "faults", "sentence"),
    [
        ("iptables", ("partition",), "n2: iptables is missing: apt-get install iptables"),
        ("python3", (), "n2: python3 is missing: apt-get install python3"),
        ("strace", ("disk:slow",), "n2: strace is missing: apt-get install strace"),
        ("mkfs.ext4", ("power",), "n2: mkfs.ext4 is missing: apt-get install e2fsprogs"),
        ("cc", ("clock",), "n2: cc is missing: apt-get install gcc libc6-dev"),
        ("tc", ("packets:rate",), "n2: tc is missing: apt-get install iproute2"),
    ],
)
def test_a_missing_tool_is_one_sentence_for_a_run_that_needs_it(
    made: Lab, program: str, faults: tuple[str, ...], sentence: str
) -> None:
    async def act(connections: dict[str, Connection]) -> None:
        async with without(program, connections["n2"]):
            with pytest.raises(ClusterError) as refused:
                await preflight(faults, connections)
            assert str(refused.value) == sentence
            if faults:
                await preflight(("kill", "pause"), connections)

    with_hosts({"n2": made.hosts[1]}, act)


HOLD = """
import fcntl, json, os, time
lock = os.open("/srv/stormcellar/hand.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, json.dumps({"holder": [os.getpid(), 1, "another boot"]}).encode())
time.sleep(600)
"""


def test_what_a_run_left_and_a_run_that_goes_on_are_told(made: Lab) -> None:
    held: list[Row] = []

    async def act(connections: dict[str, Connection]) -> None:
        there = connections["n3"]
        await there.run(["mkdir", "-p", "/srv/stormcellar"])
        entry = json.dumps({"n": 1, "kind": "iptables", "args": {}}).encode()
        await there.run(["tee", "/srv/stormcellar/undo.jsonl"], stdin=entry + b"\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.run, ["python3", "-c", HOLD])
            while not any(row.state == "missing" for row in held):
                held[:] = await examine({"n3": there}, ["kill"], deep=True)
            nursery.cancel_scope.cancel()
        await there.run(["rm", "-r", "/srv/stormcellar"])

    with_hosts(by_name(made), act)
    told = {row.check: row for row in held}
    assert re.fullmatch(r"it is in use by another run \(process \d+ there\)", told["other run"].detail)
    assert told["leftovers"].detail == (
        "an entry of an earlier run (iptables): harness heal undoes it, or the next run"
    )
    assert [row.check for row in held if row.state == "missing"] == ["other run"]


def test_hosts_of_a_lab_are_known_to_share_this_machine(made: Lab) -> None:
    rows = rows_of(by_name(made), CALM)
    machine = {row.where: row.detail for row in rows if row.check == "machine"}
    assert machine == dict.fromkeys(
        ("n1", "n2", "n3"), "a namespace of this machine, whose clock is left alone"
    )
    assert {row.state for row in rows if row.check == "clock offset"} == {"ok"}


def test_the_machine_itself_is_refused_as_a_host(made: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine may listen in a test, so a host of the lab is taken for it."""
    said: list[str] = []
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    async def act(connections: dict[str, Connection]) -> None:
        kernel = (await connections["n1"].run(["readlink", "/proc/self/ns/net"])).text
        monkeypatch.setattr("harness.doctor.examine.ourselves", lambda: Machine(boot, kernel))
        with pytest.raises(ClusterError) as refused:
            await preflight((), connections)
        said.append(str(refused.value))

    with_hosts(by_name(made), act)
    assert said == [
        "n1: it is the machine that the harness runs on, and would be broken, too: use harness run --cluster "
        "netns, or another host"
    ]


def test_the_command_tells_what_is_there_and_its_exit_code_whether_that_is_enough(
    made: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "--cluster", "netns", "--lab", NAME]
    assert cli.main([*words, "--nodes", "n1,n3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert {row["where"] for row in said["checks"]} == {"here", "n1", "n3"}

    async def act(connections: dict[str, Connection]) -> None:
        async with without("iptables", connections["n2"]):
            assert await trio.to_thread.run_sync(cli.main, words) == 255

    with_hosts({"n2": made.hosts[1]}, act)
    told = capsys.readouterr().out
    assert "iptables is missing" in told
    assert "apt-get install iptables" in told
    assert "1 missing" in told


def test_hosts_in_a_file_with_a_name_twice_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.77.0.1 name=n1\n10.77.0.2 name=n1\n")
    assert cli.main(["doctor", "--cluster", "ssh", "--nodes-file", str(file)]) == 254
    told = capsys.readouterr()
    assert told == ("", f"harness: {file}, line 2: there is already a host n1\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cluster", "ssh"], "--cluster ssh needs --nodes-file FILE, which names its hosts"),
        (["--lab", NAME], f"--lab {NAME} is only for --cluster netns, and this is sim"),
        (["--faults", "kill,tornado"], "--faults: the fault 'tornado' is unknown; there are partition,"),
        (
            ["--faults", "kill:one,files:flip"],
            "--faults: cluster sim cannot make files; it can make partition,",
        ),
        (
            ["--cluster", "local", "--faults", "clock"],
            "--faults: cluster local cannot make clock; it can make",
        ),
        (["--cluster", "netns", "--lab", NAME, "--nodes", "n9"], "--nodes: there is no host 'n9'; the hosts"),
        (["--cluster", "netns", "--lab", NAME, "--nodes", "4"], "--nodes is 4; allowed: 1 to 3, so many"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    made: Lab, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", *words]) == 254
    assert capsys.readouterr().err.startswith(f"harness: {sentence}")
