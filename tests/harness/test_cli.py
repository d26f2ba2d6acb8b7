"""Exit codes of errors that nobody can ask for by words alone. The others: tests/e2e."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.__main__ import main
from harness.commands import list as listing_command
from harness.demo.catalog import DEMOS


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code when a command raises `error`."""

    def listing(*_: object) -> int:
        raise error

    monkeypatch.setattr(listing_command, "_list", listing)
    monkeypatch.setattr(cli, "silence_stdout", lambda: None)
    return cli.main(["list"])


def test_a_bug_does_not_pass_for_a_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, ZeroDivisionError("oops")) == 255
    said = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in said
    assert "bug of the harness" in said


def test_output_that_cannot_be_written_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == 255
    assert capsys.readouterr().err == "harness: the output: No space left on device\n"


def test_ctrl_c_is_one_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def listing(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(listing_command, "_list", listing)
    monkeypatch.setattr(sys, "argv", ["harness", "list"])
    assert main() == 255
    assert capsys.readouterr().err == "harness: interrupted\n"


@pytest.mark.real
@pytest.mark.parametrize(("command", "last"), [("harness", "harness.cli"), ("store", "store.cli.main")])
def test_ctrl_c_amid_the_imports_ends_it_at_once(command: str, last: str) -> None:
    """As an exception it brought msgspec down when it was making a decoder."""
    pressed = (
        "import runpy, signal, sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {last!r}: signal.raise_signal(signal.SIGINT)\n"
        f"sys.meta_path.insert(0, Pressed())\nrunpy.run_module({command!r}, run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", pressed], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


@pytest.mark.real
@pytest.mark.parametrize("words", ["heal", "doctor --cluster ssh"])
def test_ctrl_c_while_a_host_says_nothing_is_one_word(words: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hosts = tmp_path / "hosts"
        hosts.write_text(f"Host n1\n HostName 127.0.0.1\n Port {listener.getsockname()[1]}\n User someone\n")
        command = [sys.executable, "-m", "harness", *words.split(), "--nodes-file", str(hosts)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = listener.accept()
            process.send_signal(signal.SIGINT)
            connection.close()
            assert process.stderr is not None
            assert process.stderr.read() == "harness: interrupted\n"
    assert process.returncode == 255


@pytest.mark.parametrize(
    ("words", "not_needed"),
    [
        ("--help", {"trio", "paramiko", "nemesis", "workloads", "checkers.linear"}),
        ("check --help", {"trio", "paramiko", "nemesis", "workloads"}),
        ("run --help", {"paramiko", "cryptography", "harness.demo", "harness.doctor"}),
    ],
)
def test_a_command_waits_for_nothing_that_others_need(words: str, not_needed: set[str]) -> None:
    asks = (
        "import sys\nfrom harness.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", asks, *words.split()], capture_output=True, text=True)
    imported = set(told.stderr.split())
    assert "harness.plan" in imported
    assert imported & not_needed == set()


@pytest.mark.parametrize(
    "words", [[], *([name] for name in cli.COMMANDS), *(["demo", name] for name in DEMOS)]
)
def test_help_has_no_line_that_is_wider_than_a_page(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 100] == []
