"""What the workflows run is there: targets of the Makefile, and commands that the harness accepts.

The workflows are read as text, a step's commands and a matrix' entries each on lines of their own; whether
GitHub takes them is for GitHub to say.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import catalog, commands
from harness.cli import _parser

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


class Command(NamedTuple):
    workflow: str
    line: str

    def __str__(self) -> str:
        return f"{self.workflow}: {self.line}"


def jobs_of(text: str) -> list[str]:
    return re.split(r"^  (?=[a-z]+:$)", text.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]


def lines_of(job: str) -> list[str]:
    """What its steps run, line by line."""
    found = re.findall(r"^ +(?:- )?run: (?!\|)(.+)$", job, re.MULTILINE)
    for indent, block in re.findall(r"^( +)(?:- )?run: \|\n((?:\1 +.+\n?)+)", job, re.MULTILINE):
        found += [line.strip() for line in block.splitlines()]
        assert indent
    return found


def entries_of(job: str) -> list[dict[str, str]]:
    """Those of its matrix."""
    entries = re.findall(r"^ +- \{(.+)\}$", job, re.MULTILINE)
    return [
        {name: value.strip('"') for name, value in re.findall(r'(\w+): ("[^"]*"|[^,]+)', entry)}
        for entry in entries
    ]


def filled(line: str, entry: dict[str, str]) -> str:
    line = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: entry[found[1]], line)
    return re.sub(r"\$\{\{ .*? \}\}", "x", line)


COMMANDS = [
    Command(workflow.name, filled(line, entry))
    for workflow in WORKFLOWS
    for job in jobs_of(workflow.read_text())
    for entry in entries_of(job) or [{}]
    for line in lines_of(job)
]
MADE = [command for command in COMMANDS if re.search(r"(^|\" )make [a-z]", command.line)]
HARNESS = [command for command in COMMANDS if ".venv/bin/harness " in command.line]


def test_the_workflows_are_read() -> None:
    assert {workflow.name for workflow in WORKFLOWS} == {"ci.yml", "nightly-chaos.yml"}
    assert len(MADE) >= 8
    assert len(HARNESS) >= 20
    assert {"sim", "local", "netns"} <= {word for command in HARNESS for word in command.line.split()}


@pytest.mark.parametrize("command", MADE, ids=str)
def test_targets_are_in_the_makefile(command: Command) -> None:
    words = shlex.split(command.line)
    asked = [word for word in words[words.index("make") + 1 :] if "=" not in word]
    assert set(asked) <= TARGETS


@pytest.mark.parametrize("command", dict.fromkeys(HARNESS), ids=str)
def test_commands_are_accepted_and_name_what_there_is(command: Command) -> None:
    words = shlex.split(command.line)
    words = words[words.index(".venv/bin/harness") + 1 :]
    args = _parser().parse_args(words)
    if args.command is commands.run:
        catalog.assemble(commands._plan(args, words))


def test_a_flag_that_there_is_not_would_be_noticed() -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["run", "--junitt", "x"])
