"""What the README shows is what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main

README = Path(__file__).resolve().parents[2] / "README.md"


def test_its_list_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert f"```\n{capsys.readouterr().out}```\n" in README.read_text()
