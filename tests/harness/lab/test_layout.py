from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import cli
from harness.lab import lab, script
from harness.lab.layout import DEFAULT_NAME, HOSTS_MAX, LabError, directory_of, layout_of

RUNTIME = Path("/nowhere")


def test_a_lab_of_three_has_four_stations_with_addresses_of_their_own() -> None:
    layout = layout_of("blue", 3, RUNTIME)
    assert [host.name for host in layout.hosts] == ["n1", "n2", "n3"]
    assert len({station.address for station in layout.stations}) == 4
    assert layout.directory == RUNTIME / "labs/blue"


def test_the_largest_lab_has_no_address_twice() -> None:
    stations = layout_of("blue", HOSTS_MAX, RUNTIME).stations
    assert len({station.address for station in stations}) == HOSTS_MAX + 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "-a", "a-", "a b", "a" * 33, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        directory_of(name, RUNTIME)


@pytest.mark.parametrize("count", [-1, 0, HOSTS_MAX + 1])
def test_a_number_of_hosts_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(LabError, match=f"a lab has 1 to {HOSTS_MAX} hosts, not {count}"):
        layout_of("blue", count, RUNTIME)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["up", "--hosts", "0"], f"--hosts: '0' is not a number of hosts from 1 to {HOSTS_MAX}"),
        (["up", "--hosts", "two"], "--hosts: 'two' is not a number of hosts"),
        (["up", "--name", "../x"], "--name: '../x' is no name for a lab"),
        (["down", "--name", "A"], "--name: 'A' is no name for a lab"),
        (["ssh", "--name", "A", "n1"], "--name: 'A' is no name for a lab"),
    ],
)
def test_on_the_command_line_they_are_arguments_that_make_no_sense(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lab", *words])
    assert ended.value.code == 254
    assert f"harness lab {words[0]}: argument {named}" in capsys.readouterr().err


def test_the_keeper_s_script_is_one_that_a_shell_understands(tmp_path: Path) -> None:
    layout = layout_of("blue", 2, tmp_path / "it's here")
    text = script.keeper(layout, "/usr/sbin/sshd", tethered=False)[-1]
    subprocess.run(["/bin/sh", "-n", "-c", text], check=True, timeout=30)


def test_the_machine_s_users_are_kept_but_root_gets_a_plain_shell() -> None:
    users = "root:x:0:0:root:/root:/bin/zsh\npostgres:x:5:5::/pg:/bin/bash\n"
    assert script.etc_passwd(users) == "root:x:0:0:root:/root:/bin/sh\npostgres:x:5:5::/pg:/bin/bash\n"


def test_whoever_is_not_root_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for attempt in (lambda: lab.up("blue", 3), lambda: lab.down("blue"), lab.every, lambda: lab.find("blue")):
        with pytest.raises(LabError, match="run this on Linux, as root"):
            attempt()


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("shutil.which", lambda tool, path=None: None if tool == "sshd" else f"/bin/{tool}")
    with pytest.raises(LabError, match="a lab needs the program sshd: apt-get install openssh-server"):
        lab.up("blue", 3, RUNTIME)


def test_the_default_name_is_a_name() -> None:
    assert directory_of(DEFAULT_NAME, RUNTIME).name == DEFAULT_NAME
