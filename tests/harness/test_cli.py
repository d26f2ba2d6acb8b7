"""Exit codes of errors that nobody can ask for by words alone. The others: tests/e2e."""

from __future__ import annotations

import errno
import os

import pytest

from harness import cli, commands


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code when a command raises `error`."""

    def listing(*_: object) -> int:
        raise error

    monkeypatch.setattr(commands, "listing", listing)
    monkeypatch.setattr(commands, "silence_stdout", lambda: None)
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


def test_ctrl_c_outside_a_run_is_one_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, KeyboardInterrupt()) == 255
    assert capsys.readouterr().err == "harness: interrupted\n"
