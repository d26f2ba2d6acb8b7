"""What the workflows run is there: targets of the Makefile, and commands that the harness accepts. And they
open no hole: nothing is pasted into a script, foreign actions are pinned, rights are few.

Whether GitHub takes them is for GitHub to say.
"""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from harness import catalog
from harness.cli import _parser
from harness.commands import run

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PARSED: dict[str, dict[Any, Any]] = {file.name: yaml.safe_load(file.read_text()) for file in WORKFLOWS}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


class Job(NamedTuple):
    workflow: str
    name: str
    job: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.name}"

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(self.job["steps"])

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The combinations of its matrix; one without any values if it has none."""
        matrix = dict(self.job.get("strategy", {}).get("matrix", {}))
        included = matrix.pop("include", None)
        if included is not None:
            assert not matrix
            return list(included)
        return [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]


JOBS = [Job(name, job, found) for name, parsed in PARSED.items() for job, found in parsed["jobs"].items()]


class Command(NamedTuple):
    """A line of a script, as it is run for one entry of a matrix."""

    job: str
    line: str

    def __str__(self) -> str:
        return f"{self.job}: {self.line}"


def commands_of(job: Job) -> Iterator[Command]:
    for entry in job.entries:
        env = {name: filled(value, entry) for name, value in job.job.get("env", {}).items()}
        for step in job.steps:
            if "run" in step and runs_for(step.get("if", ""), entry):
                for line in step["run"].splitlines():
                    yield Command(str(job), string.Template(line).safe_substitute(env))


def filled(value: str, entry: Mapping[str, Any]) -> str:
    value = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: str(entry[found[1]]), value)
    return re.sub(r"\$\{\{ .*? \}\}", "7", value)


def runs_for(condition: str, entry: Mapping[str, Any]) -> bool:
    found = re.search(r"matrix\.(\w+) (==|!=) '(\w+)'", condition)
    return found is None or (entry[found[1]] == found[3]) == (found[2] == "==")


COMMANDS = [command for job in JOBS for command in commands_of(job)]
MADE = [command for command in COMMANDS if re.search(r"(^|\" )make [a-z]", command.line)]
HARNESS = [command for command in COMMANDS if ".venv/bin/harness " in command.line]
NIGHTLY = next(job for job in JOBS if str(job) == "nightly-chaos.yml: run")


def test_the_workflows_are_read() -> None:
    assert set(PARSED) == {"ci.yml", "nightly-chaos.yml"}
    assert len(MADE) >= 8
    assert len(HARNESS) >= 30
    assert any(line.startswith('sudo -E env "PATH=$PATH" .venv/bin/harness run') for _, line in HARNESS)


@pytest.mark.parametrize("command", MADE, ids=str)
def test_targets_are_in_the_makefile(command: Command) -> None:
    words = shlex.split(command.line.partition("|")[0])
    assert set(words[words.index("make") + 1 :]) <= TARGETS


@pytest.mark.parametrize("command", dict.fromkeys(HARNESS), ids=str)
def test_commands_are_accepted_and_name_what_there_is(command: Command) -> None:
    words = shlex.split(command.line)
    words = words[words.index(".venv/bin/harness") + 1 :]
    args = _parser(words).parse_args(words)
    if words[0] == "run":
        catalog.assemble(run.plan_of(args, words))


def test_a_flag_that_there_is_not_would_be_noticed() -> None:
    with pytest.raises(SystemExit):
        _parser(["run"]).parse_args(["run", "--junitt", "x"])


def test_every_night_all_workloads_all_faults_and_all_clusters_of_one_machine_are_run() -> None:
    entries = NIGHTLY.entries
    assert {entry["workload"] for entry in entries} == set(catalog.WORKLOADS)
    assert {fault for entry in entries for fault in entry["faults"].split(",")} == set(catalog.FAULTS)
    assert {entry["cluster"] for entry in entries} == set(catalog.CLUSTERS) - {"ssh"}
    assert len({tuple(entry.values()) for entry in entries}) == len(entries)


@pytest.mark.parametrize("name", PARSED)
def test_a_workflow_may_only_read_and_does_not_pile_up(name: str) -> None:
    parsed = PARSED[name]
    assert parsed["permissions"] == {"contents": "read"}
    assert "${{ github.ref }}" in parsed["concurrency"]["group"]
    triggers = parsed[True]  # what YAML makes of `on`
    assert "pull_request_target" not in triggers
    for asked in (triggers.get("workflow_dispatch") or {}).get("inputs", {}).values():
        assert asked["type"] == "choice"
        assert asked["default"] in asked["options"]


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_ends_and_has_no_rights_of_its_own(job: Job) -> None:
    assert 0 < job.job["timeout-minutes"] <= 120
    assert "permissions" not in job.job


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_nothing_is_pasted_into_a_script(job: Job) -> None:
    for step in job.steps:
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_pipe_does_not_hide_a_failure(job: Job) -> None:
    """GitHub sets `pipefail` only where bash is asked for."""
    for step in job.steps:
        assert "|" not in step.get("run", "") or step.get("shell") == "bash"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_to_a_commit_with_the_version_beside_it(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_the_repository_is_fetched_without_leaving_the_token_behind(job: Job) -> None:
    fetched = [step for step in job.steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(fetched) == 1
    assert fetched[0]["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_what_was_recorded_is_kept_also_of_what_failed_each_under_a_name_of_its_own(job: Job) -> None:
    (kept,) = [step for step in job.steps if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert kept["if"] in ("always()", "failure()")
    assert kept is job.steps[-1]
    assert len(job.entries) == 1 or re.search(
        r"\$\{\{ (matrix\.python|strategy\.job-index) \}\}", kept["with"]["name"]
    )
    names = [each.steps[-1]["with"]["name"] for each in JOBS]
    assert len(set(names)) == len(names)
