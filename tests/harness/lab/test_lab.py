"""Labs as they are: brought up, used, killed and taken down, on the machine that runs the tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

import pytest
import trio

from harness import cli
from harness.lab import lab, process, script, state
from harness.lab.lab import Lab
from harness.lab.layout import RUNTIME, LabError, Layout, directory_of
from harness.remote import transport
from harness.remote.connection import Connection
from harness.remote.errors import CommandFailed, ConnectionLost
from harness.remote.shell import Completed
from tests.support.machine import family, living, network_and_mounts

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux"),
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None,
        reason="sshd is not installed (apt-get install openssh-server)",
    ),
]
PATIENCE_S = 30
LISTEN = "import socket; socket.create_server(('', 7000)).accept()[0].send(b'hello')"
CALL = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(9))"


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Where labs are kept: for each test another place, so that it sees no labs but its own."""
    return tmp_path / "runtime"


@contextmanager
def lab_of(count: int, runtime: Path, name: str = "blue") -> Iterator[Lab]:
    made = lab.up(name, count, runtime)
    try:
        yield made
    finally:
        lab.down(name, runtime)


def keeper_of(runtime: Path, name: str = "blue") -> int:
    there = state.read(runtime / "labs" / name)
    assert there is not None
    return there.keeper.pid


def on(made: Lab, host: str, *argv: str, check: bool = True) -> Completed:
    """Run one command on one host."""

    async def main() -> Completed:
        with trio.fail_after(PATIENCE_S):
            wanted = next(known for known in made.hosts if known.name == host)
            async with Connection(wanted) as connection:
                return await connection.run(argv, check=check)

    return trio.run(main)


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def networks_of(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):  # it has just ended
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
    assert found
    return found


def play(made: Lab, scene: Callable[[dict[str, Connection]], Awaitable[None]]) -> None:
    async def main() -> None:
        connections = {host.name: Connection(host) for host in made.hosts}
        with trio.fail_after(PATIENCE_S):
            try:
                await scene(connections)
            finally:
                for connection in connections.values():
                    await connection.aclose()

    trio.run(main)


def test_the_machine_is_as_before_while_a_lab_is_up_and_after_it(runtime: Path) -> None:
    before = network_and_mounts()
    with lab_of(5, runtime) as made:
        everybody = family(keeper_of(runtime))
        assert len(everybody) > 10
        assert "PYTEST_CURRENT_TEST" in os.environ  # and nothing of ours goes in there
        assert "PYTEST" not in Path(f"/proc/{keeper_of(runtime)}/environ").read_text()
        assert {on(made, f"n{i}", "hostname").text for i in range(1, 6)} == {f"n{i}" for i in range(1, 6)}
        assert network_and_mounts() == before
    assert network_and_mounts() == before
    assert not everybody & living().keys()
    assert not runtime.exists()


def test_each_host_has_processes_files_and_a_firewall_of_its_own(runtime: Path) -> None:
    before = network_and_mounts()

    async def scene(hosts: dict[str, Connection]) -> None:
        await hosts["n1"].run(["iptables", "-A", "INPUT", "-s", "10.77.0.2", "-j", "DROP"])
        assert "10.77.0.2" in (await hosts["n1"].run(["iptables-save"])).text
        assert "10.77.0.2" not in (await hosts["n2"].run(["iptables-save"])).text
        with pytest.raises(CommandFailed, match="100% packet loss"):
            await hosts["n2"].run(["ping", "-c", "1", "-W", "1", "n1"])
        assert network_and_mounts() == before
        for place in ("/srv", "/run"):
            await hosts["n1"].run(["touch", f"{place}/mine"])
            assert (await hosts["n2"].run(["ls", place])).text.count("mine") == 0
            assert "mine" not in os.listdir(place)
        processes = (await hosts["n1"].run(["ps", "-e", "-o", "comm="])).text.split()
        assert set(processes) <= {"sshd", "sh", "timeout", "ps"}

    with lab_of(2, runtime) as made:
        play(made, scene)


def test_hosts_reach_each_other_and_nothing_else(runtime: Path) -> None:
    async def scene(hosts: dict[str, Connection]) -> None:
        await hosts["n1"].run(["ping", "-c", "1", "-W", "5", "n2"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hosts["n2"].run, [sys.executable, "-c", LISTEN])
            listening = "grep -q :1B58 /proc/net/tcp /proc/net/tcp6"
            await hosts["n2"].run(["sh", "-c", f"until {listening}; do sleep 0.02; done"])
            assert (await hosts["n1"].run([sys.executable, "-c", CALL, "n2", "7000"])).text == "b'hello'"
        # There is no way out; so nothing is sent to find that out.
        with pytest.raises(CommandFailed, match="Network is unreachable"):
            await hosts["n1"].run(["ip", "route", "get", "192.0.2.1"])
        with socket.create_server(("127.0.0.1", 0)) as ours:
            port = str(ours.getsockname()[1])
            with pytest.raises(CommandFailed, match="Connection refused"):
                await hosts["n1"].run([sys.executable, "-c", CALL, "127.0.0.1", port])

    with lab_of(2, runtime) as made:
        play(made, scene)


def test_the_client_namespace_is_the_only_way_in(runtime: Path) -> None:
    """That the machine's own namespace has no way in is shown by what it consists of: to try would send
    packets to whoever has the address in the network around."""
    root = os.readlink("/proc/self/ns/net")
    with lab_of(2, runtime) as made:
        host = made.hosts[0]
        with made.client.dial(host.address, host.port, 5) as sock:
            assert sock.recv(4) == b"SSH-"
            assert sock.getsockname()[0] == "10.77.0.254"
        assert os.readlink("/proc/thread-self/ns/net") == root
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        assert "10.77.0." not in subprocess.run(["ip", "addr"], capture_output=True, text=True).stdout
        assert "veth" not in links
        assert root not in networks_of(family(keeper_of(runtime)))


def test_two_labs_side_by_side_know_nothing_of_each_other(runtime: Path) -> None:
    with lab_of(2, runtime, "blue") as blue, lab_of(1, runtime, "red") as red:
        assert [(found.name, found.condition, found.hosts) for found in lab.every(runtime)] == [
            ("blue", "up", 2),
            ("red", "up", 1),
        ]
        assert blue.hosts[0].address == red.hosts[0].address
        on(blue, "n1", "touch", "/srv/blue")
        assert on(red, "n1", "ls", "/srv").text == ""
        with pytest.raises(CommandFailed):
            on(red, "n1", "ping", "-c", "1", "-W", "1", "10.77.0.2")
        lab.down("red", runtime)
        assert on(blue, "n1", "ls", "/srv").text == "blue"


def test_a_lab_is_found_again_and_not_made_twice(runtime: Path) -> None:
    with lab_of(1, runtime) as made:
        assert lab.find("blue", runtime) == made
        with pytest.raises(
            LabError, match="lab blue is up already: harness lab down --name blue takes it down"
        ):
            lab.up("blue", 1, runtime)
        assert on(made, "n1", "hostname").text == "n1"
    assert not lab.down("blue", runtime)
    with pytest.raises(LabError, match="there is no lab blue that is up"):
        lab.find("blue", runtime)


HANGS = """
import sys, time
from pathlib import Path
from harness.lab import lab, state
def hang(*args):
    write(args[0]) if args and isinstance(args[0], state.State) else None
    print("hanging", flush=True)
    time.sleep(600)
write = state.write
{where} = hang
lab.up("blue", 2, Path(sys.argv[1]))
"""


def killed_while_coming_up(where: str, runtime: Path) -> None:
    """A creator that is killed with no warning at a certain point."""
    code = HANGS.replace("{where}", where)
    with subprocess.Popen([sys.executable, "-c", code, str(runtime)], stdout=subprocess.PIPE) as creator:
        assert creator.stdout is not None
        assert creator.stdout.readline() == b"hanging\n"
        assert [found.condition for found in lab.every(runtime)] == ["coming up"]
        creator.kill()
    assert [found.condition for found in lab.every(runtime)] == ["interrupted"]


def test_a_lab_whose_creator_was_killed_is_found_and_removed(runtime: Path) -> None:
    before = network_and_mounts()
    killed_while_coming_up("lab._wait_until_ready", runtime)
    keeper = keeper_of(runtime)
    until(lambda: len(family(keeper)) > 4)
    everybody = family(keeper)
    with pytest.raises(LabError, match="there is no lab blue that is up"):
        lab.find("blue", runtime)
    assert lab.down("blue", runtime)
    assert not everybody & living().keys()
    assert network_and_mounts() == before
    assert not runtime.exists()


def test_a_creator_killed_before_it_let_the_lab_begin_leaves_no_process(runtime: Path) -> None:
    killed_while_coming_up("state.write", runtime)
    keeper = keeper_of(runtime)
    until(lambda: not family(keeper))
    assert lab.down("blue", runtime)
    assert not runtime.exists()


def test_what_is_left_of_a_lab_is_replaced_by_the_next_of_its_name(runtime: Path) -> None:
    killed_while_coming_up("lab._wait_until_ready", runtime)
    keeper = keeper_of(runtime)
    with lab_of(1, runtime) as made:
        assert not family(keeper)
        assert on(made, "n1", "hostname").text == "n1"


def test_when_the_keeper_is_killed_the_whole_lab_ends(runtime: Path) -> None:
    with lab_of(2, runtime):
        keeper = keeper_of(runtime)
        everybody = family(keeper)
        os.kill(keeper, signal.SIGKILL)
        until(lambda: not everybody & living().keys())
        assert [(found.condition, found.hosts) for found in lab.every(runtime)] == [("dead", 2)]
    assert lab.every(runtime) == []


def test_what_makes_no_namespaces_says_why_and_leaves_nothing(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_NAMESPACES", "unshare --no-such-namespace")
    with pytest.raises(LabError, match=r"could not be set up: .*no-such-namespace"):
        lab.up("blue", 2, runtime)
    assert not runtime.exists()


def test_who_is_written_down_is_the_first_process_of_the_lab_from_then_on(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of another, such as its parent, would not be the end of all."""

    def write(there: state.State) -> None:
        status = Path(f"/proc/{there.keeper.pid}/status").read_text()
        seen.append(re.findall(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE))
        write_down(there)

    seen: list[list[str]] = []
    write_down = state.write
    monkeypatch.setattr(state, "write", write)
    with lab_of(1, runtime):
        assert seen == [["1"], ["1"]]


def test_a_lab_that_cannot_be_set_up_says_why_and_leaves_nothing(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(layout: Layout, sshd: str, tethered: bool) -> list[str]:
        body = "read -r _ <&3; echo 'no such thing as a bridge' >&2; exit 1"
        return ["sh", "-c", f"exec 3<&0; sh -c {quote(body)} >&2 & echo $!"]

    monkeypatch.setattr(script, "keeper", broken)
    with pytest.raises(LabError, match="lab blue could not be set up: no such thing as a bridge"):
        lab.up("blue", 2, runtime)
    assert not runtime.exists()


def test_a_host_whose_sshd_does_not_start_is_told_with_its_reason(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "sshd_config", lambda host: "NoSuchWord yes\n")
    with pytest.raises(LabError, match=r"could not be set up: .*NoSuchWord"):
        lab.up("blue", 2, runtime)
    assert not runtime.exists()


def test_of_two_who_bring_up_the_same_lab_one_does(runtime: Path) -> None:
    code = "import sys, pathlib; from harness.lab import lab; lab.up('blue', 1, pathlib.Path(sys.argv[1]))"
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(runtime)], stderr=subprocess.PIPE) for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    try:
        assert sorted(process.returncode for process in both) == [0, 1]
        assert b"lab blue is up already" in said[0] + said[1]
    finally:
        lab.down("blue", runtime)


def test_a_lab_that_is_not_understood_is_told_and_left_alone(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = runtime / "labs/blue"
    directory.mkdir(parents=True)
    (directory / "state.json").write_text('{"from": "the future"}')
    (runtime / "labs/yellow").mkdir()
    (runtime / "labs/Not a lab").touch()
    assert [(found.name, found.condition) for found in lab.every(runtime)] == [
        ("blue", "not understood"),
        ("yellow", "interrupted"),
    ]
    monkeypatch.setattr(lab.every, "__defaults__", (runtime,))
    monkeypatch.setattr(lab.down, "__defaults__", (runtime,))
    assert cli.main(["lab", "down", "--all"]) == 255
    said = capsys.readouterr()
    assert said.out == "lab yellow is down\n"
    assert said.err.startswith(f"harness: {directory}/state.json is not ours, or of another version")
    assert directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_while_it_makes_a_lab_the_command_leaves_none(number: signal.Signals) -> None:
    name = f"test-ended-{os.getpid()}"
    code = (
        "import sys, time\nfrom harness.__main__ import main\nfrom harness.lab import lab\n"
        "lab._wait_until_ready = lambda *_: (print('hanging', flush=True), time.sleep(600))\n"
        f"sys.argv = ['harness', 'lab', 'up', '--name', '{name}', '--hosts', '2']\nsys.exit(main())"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True) as creator:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "hanging\n"
        there = state.read(directory_of(name, RUNTIME))
        assert there is not None
        creator.send_signal(number)
        assert creator.communicate() == ("", "harness: interrupted\n")
    assert creator.returncode == 255
    assert not directory_of(name, RUNTIME).exists()
    assert not process.is_alive(there.keeper)


def test_only_what_is_left_of_labs_is_swept_away(runtime: Path) -> None:
    killed_while_coming_up("state.write", runtime)
    (runtime / "labs/blue").rename(runtime / "labs/run-killed")
    (runtime / "labs/run-future").mkdir()
    (runtime / "labs/run-future/state.json").write_text('{"from": "the future"}')
    (runtime / "labs/other").mkdir()
    with lab_of(1, runtime, "run-up"), state.locked("run-begins", runtime, wait_s=1):
        lab.sweep("run-", runtime)
        assert state.names(runtime) == ["other", "run-begins", "run-future", "run-up"]
        assert lab.find("run-up", runtime)


def test_a_connection_that_falls_silent_is_noticed(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE_LIMIT_S", 1.0)
    monkeypatch.setattr(transport, "KEEPALIVE_S", 1)

    started = runtime / "labs/blue/hosts/n1/srv/started"

    async def interrupted(host: Connection) -> None:
        with pytest.raises(ConnectionLost, match="n1: the connection ended while"):
            await host.run(["sh", "-c", "touch /srv/started; sleep 600"], timeout_s=600)

    async def scene(hosts: dict[str, Connection]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupted, hosts["n1"])
            await trio.to_thread.run_sync(until, started.exists)
            n1 = f"--net=/proc/{keeper_of(runtime)}/root/run/netns/n1"
            await trio.run_process(["nsenter", n1, "iptables", "-I", "INPUT", "-j", "DROP"])

    with lab_of(1, runtime) as made:
        play(made, scene)


def test_the_same_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    name = f"test-{os.getpid()}"

    def harness(*words: str) -> tuple[int, str]:
        code = cli.main(["lab", *words])
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    def ssh(*words: str) -> tuple[int, str]:
        """It becomes another program."""
        argv = [sys.executable, "-m", "harness", "lab", "ssh", "--name", name, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S)
        return done.returncode, done.stdout + done.stderr

    try:
        assert harness("up", "--name", name, "--hosts", "2") == (0, f"lab {name} is up: n1, n2\n")
        assert f"{name}: up, hosts: 2\n" in harness("status")[1]
        assert ssh("n2", "echo $((6 * 7)); exit 5") == (5, "42\n")
        assert ssh("n2", "echo", "a  b", "$HOME") == (0, "a  b $HOME\n")
        no_such_host = f"harness: lab {name} has no host n3: it has n1, n2\n"
        assert harness("ssh", "--name", name, "n3") == (255, no_such_host)
        assert harness("up", "--name", name, "--hosts", "2")[0] == 255
    finally:
        assert harness("down", "--name", name) == (0, f"lab {name} is down\n")
    assert f"{name}:" not in harness("status")[1]
    assert harness("down", "--name", name) == (0, f"there is no lab {name}\n")


def test_a_tethered_lab_goes_with_whoever_holds_the_pipe(runtime: Path) -> None:
    before = network_and_mounts()
    program = (
        "import os, sys; from pathlib import Path; from harness.lab.lab import Pipe, up\n"
        "up('blue', 2, Path(sys.argv[1]), Pipe(*os.pipe())); print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(runtime)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        everybody = family(keeper_of(runtime))
        assert len(everybody) > 4
        holder.kill()
    until(lambda: not everybody & living().keys())
    assert lab.every(runtime)[0].condition == "dead"
    assert lab.down("blue", runtime)
    assert network_and_mounts() == before
