"""Whatever the words are, a shell hands them on byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.remote import shell
from harness.remote.shell import Command

WORDS = st.lists(
    st.binary(max_size=30)
    .filter(lambda word: 0 not in word)
    .map(lambda word: word.decode("utf-8", "surrogateescape"))
    | st.text(alphabet="ab'\"\\ $`!*?[]{}()<>|&;#~=%\n\t\r-\x07é€", max_size=12),
    min_size=1,
    max_size=8,
)
SHOW = [
    sys.executable,
    "-S",
    "-c",
    "import sys, os; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))",
]


def by_shell(command: Command, program: str = "/bin/sh") -> subprocess.CompletedProcess[bytes]:
    """Without the word that tells where its output begins."""
    line = shell.line(command, sudo=False, limit_s=30)
    completed = subprocess.run(
        [program, "-c", line],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={"PATH": os.defpath},
    )
    before, _, completed.stdout = completed.stdout.partition(shell.BEGINS)
    assert before == b""
    return completed


@settings(max_examples=60)
@given(WORDS)
def test_words_arrive_byte_for_byte(words: list[str]) -> None:
    sent = b"\0".join(word.encode("utf-8", "surrogateescape") for word in words)
    arrived = by_shell(Command(("printf", r"%s\0", *words)))
    assert arrived.stdout == sent + b"\0"
    assert arrived.returncode == 0


@pytest.mark.parametrize("program", ["/bin/sh", "/bin/bash"])
def test_also_words_that_look_like_something_else(program: str) -> None:
    words = ["-n", "--", "A=b", "$HOME", "*", "~", "!!", "a\nb", "'", "", "\\", "#", "%s", "\udcff"]
    completed = by_shell(Command((*SHOW, *words)), program)
    assert completed.stdout.split(b"\0") == [word.encode("utf-8", "surrogateescape") for word in words]


def test_the_environment_and_the_directory_are_those_asked_for(tmp_path: Path) -> None:
    odd = tmp_path / "a 'b' $c"
    odd.mkdir()
    value = "x 'y' \"z\" $HOME `id`\n"
    completed = by_shell(Command(("sh", "-c", 'pwd; printf %s "$ODD"'), {"ODD": value}, str(odd)))
    assert completed.stdout.decode() == f"{odd}\n{value}"


def test_a_directory_that_is_not_there_means_that_nothing_is_run(tmp_path: Path) -> None:
    completed = by_shell(Command(("touch", str(tmp_path / "ran")), directory="/no such"))
    assert completed.returncode != 0
    assert not (tmp_path / "ran").exists()


def test_both_outputs_are_appended_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "it's a log"
    for word in ("one", "two"):
        completed = by_shell(Command(("sh", "-c", f"echo {word}; echo {word}! >&2"), output=str(log)))
        assert completed.stdout == b""
    assert log.read_text() == "one\none!\ntwo\ntwo!\n"


def test_the_exit_status_is_that_of_the_command_or_tells_the_signal() -> None:
    assert by_shell(Command(("sh", "-c", "exit 7"))).returncode == 7
    assert by_shell(Command(("sh", "-c", "kill -TERM $$"))).returncode == 128 + 15
    assert by_shell(Command(("/no/such/program",))).returncode == 127


def test_the_host_itself_ends_a_command_that_is_over_its_time() -> None:
    line = shell.line(Command(("sh", "-c", "sleep 60 & sleep 60")), sudo=False, limit_s=0.1)
    completed = subprocess.run(["/bin/sh", "-c", line], capture_output=True, timeout=30)
    assert completed.returncode == 137


@pytest.mark.parametrize("program", ["/bin/sh", "/bin/bash"])
def test_a_group_is_ended_whole_and_a_second_time_is_no_error(program: str) -> None:
    line = shell.line(Command(("sh", "-c", "sleep 60 & echo; sleep 60")), sudo=False, limit_s=30)
    with subprocess.Popen(["/bin/sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == shell.BEGINS
        running.stdout.readline()
        group, rest = shell.announced(running.stderr.readline())
        assert group is not None
        assert rest == b""
        for _ in range(2):
            subprocess.run([program, "-c", shell.end_of_group(group, sudo=False)], check=True, timeout=30)
        assert running.wait(30) == 137
        assert running.stdout.read() == b""  # nobody of the group holds it open any more


def test_the_announcement_is_taken_out_of_standard_error_wherever_it_is() -> None:
    assert shell.announced(b"sudo: hm\nstormcellar-group 12\nrest\n") == (12, b"sudo: hm\nrest\n")
    assert shell.announced(b"stormcellar-group 12") == (None, b"stormcellar-group 12")
    assert shell.announced(b"no such user\n") == (None, b"no such user\n")
    traced = b"+ sh -c 'echo stormcellar-group $PPID'\n"
    assert shell.announced(traced + b"stormcellar-group 12\n") == (12, traced)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Command(()), "at least one word"),
        (lambda: Command(("a\0b",)), "NUL"),
        (lambda: Command(("a",), {"A B": "c"}), "'A B' is not the name"),
        (lambda: Command(("a",), {"A": "\0"}), "NUL"),
        (lambda: Command(("a",), directory="here"), "'here' is not an absolute path"),
        (lambda: Command(("a",), output="log"), "'log' is not an absolute path"),
        (lambda: shell.line(Command(("a" * 130_000,)), sudo=False, limit_s=1), "too long"),
    ],
)
def test_what_no_shell_could_run_is_refused(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]


def test_errors_show_the_words_but_no_environment() -> None:
    assert str(Command(("echo", "a b"), {"SECRET": "hush"})) == "echo 'a b'"
    assert len(str(Command(("echo", "a" * 1000)))) <= 120
    assert str(Command(("sh", "-c", "a\n  b"))) == "sh -c 'a b'"
