"""`harness run` on hosts that the harness knows by SSH only, with their real faults."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.cluster.hosts.ground import RUN_LABS
from harness.lab import lab, state
from harness.lab.lab import Lab
from harness.lab.layout import RUNTIME, directory_of
from tests.support.command import Running, eventually, harness, part, result_of
from tests.support.machine import family, living, network_and_mounts

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None,
        reason="sshd is not installed (apt-get install openssh-server)",
    ),
]
NETNS = ("--cluster", "netns", "--fault-interval", "3", "--seed", "1", "--json")
SILENCE_S = 5


@pytest.fixture
def standing() -> Iterator[Lab]:
    name = f"e2e-{os.getpid()}"
    try:
        yield lab.up(name, 3)
    finally:
        lab.down(name)


def on(made: Lab, host: str, *words: str) -> str:
    """What a command on one of its hosts says."""
    enter = ["nsenter", f"--net={made.client.path}", "ssh", "-F", str(made.layout.ssh_config), host]
    return subprocess.run([*enter, *words], capture_output=True, text=True, check=True, timeout=30).stdout


def keeper_of(run: int) -> int:
    """The keeper of the lab that goes with this process: it holds the other end of a pipe."""
    labs = [state.read(directory_of(name, RUNTIME)) for name in state.names(RUNTIME)]
    keepers = {pid: links(pid) for pid in [there.keeper.pid for there in labs if there is not None]}
    pipes = {link for link in links(run) if link.startswith("pipe:")}
    (keeper,) = [pid for pid, held in keepers.items() if held & pipes]
    return keeper


def links(pid: int) -> set[str]:
    """What the process has open."""
    found = set()
    with suppress(FileNotFoundError):  # it has ended, or closed one
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found.add(os.readlink(entry))
    return found


def test_every_fault_on_real_hosts_is_survived_and_nothing_is_left(tmp_path: Path) -> None:
    before = network_and_mounts()
    done = harness(tmp_path, "run", *NETNS, "--time-limit", "12")
    result = result_of(done)
    assert done.returncode == 0, result
    assert {entry["fault"] for entry in result["faults"] if entry["observed"]} == {
        "partition",
        "kill",
        "pause",
        "clock",
    }
    assert part(result, "stats")["details"]["operations"]["write"]["ok"] > 20
    assert {log.name for log in (tmp_path / "runs/latest/nodes").iterdir()} == {
        f"n{i}.log" for i in range(1, 6)
    }
    assert network_and_mounts() == before


def test_level_one_behind_a_real_firewall_is_convicted(tmp_path: Path) -> None:
    faults = ("--faults", "partition:halves,clock")
    words = ("--level", "one", *faults, "--time-limit", "30", "--stop-on-violation")
    done = harness(tmp_path, "run", *NETNS, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert part(result_of(done), "linearizable")["status"] == "invalid"


def test_faults_that_silently_do_nothing_make_the_run_vacuous(standing: Lab, tmp_path: Path) -> None:
    blind = tmp_path / "does-nothing"
    blind.write_text("#!/bin/sh\ncat >/dev/null\n")
    blind.chmod(0o755)
    for number in range(1, 4):
        for program in ("iptables-restore", "ip6tables-restore"):
            assert on(standing, f"n{number}", "mount", "--bind", str(blind), f"/usr/sbin/{program}") == ""
    words = ("--lab", standing.name, "--nodes", "3", "--faults", "partition", "--time-limit", "6")
    done = harness(tmp_path, "run", *NETNS, *words)
    assert done.returncode == 3, done.stdout + done.stderr
    result = result_of(done)
    assert result["status"] == "vacuous"
    assert {entry["observed"] for entry in result["faults"]} == {False}


def test_hosts_heal_themselves_when_the_harness_is_killed(standing: Lab, tmp_path: Path) -> None:
    words = ("--lab", standing.name, "--nodes", "3", "--faults", "partition", "--time-limit", "600")
    before = {host.name: on(standing, host.name, "iptables-save") for host in standing.hosts}

    def cut() -> bool:
        return any("STORMCELLAR" in on(standing, host.name, "iptables-save") for host in standing.hosts)

    with Running(tmp_path, *NETNS, *words, "--heal-after", str(SILENCE_S)) as running:
        eventually(cut)
        running.send(signal.SIGKILL)
        running.ended()
        assert cut()
        eventually(lambda: not cut(), SILENCE_S + 15)
    for host in standing.hosts:
        processes = on(standing, host.name, "ps", "-e", "-o", "args=")
        assert "sshd" in processes
        assert "hand.pyz" not in processes
        assert "store" not in processes
    assert {name: _rules(text) for name, text in before.items()} == {
        host.name: _rules(on(standing, host.name, "iptables-save")) for host in standing.hosts
    }
    done = harness(tmp_path, "heal", "--lab", standing.name)
    assert (done.returncode, done.stdout) == (0, "".join(f"n{i}: nothing was left\n" for i in range(1, 4)))


def test_a_lab_of_the_run_goes_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    with Running(tmp_path, *NETNS, "--nodes", "3", "--faults", "none", "--time-limit", "600") as running:
        running.recorded(50)
        everybody = {running.process.pid, *family(keeper_of(running.process.pid))}
        assert len(everybody) > 12
        running.send(signal.SIGKILL)
        running.ended()
    eventually(lambda: not everybody & living().keys())
    lab.sweep(RUN_LABS)  # as the next run does
    done = harness(tmp_path, "analyze", "latest", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_hosts_of_a_file_are_a_cluster(standing: Lab, tmp_path: Path) -> None:
    """From within the lab, whose hosts' addresses are of no use elsewhere."""
    inside = ["nsenter", f"--net={standing.client.path}", sys.executable, "-m", "harness", "run"]
    words = ["--cluster", "ssh", "--nodes-file", str(standing.layout.ssh_config), *NETNS[2:]]
    faults = ["--faults", "kill,restart:graceful,partition", "--fault-interval", "1.5", "--time-limit", "9"]
    done = subprocess.run(
        [*inside, *words, *faults], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert result_of(done)["plan"]["nodes"] == ["n1", "n2", "n3"]


def _rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-")]
