from __future__ import annotations

import resource
import sys

import pytest

from harness.doctor import here
from harness.doctor.checks import Finding
from harness.doctor.here import OWN_CHECKS, examine_here

BY_NAME = {check.name: check for check in OWN_CHECKS}
PIP = f"{sys.executable} -m pip install --require-hashes -r requirements.lock"
GOOD = {"trio": ("0.35.0", "0.35.0"), "rich": ("", "15.0.0")}


@pytest.mark.parametrize(
    ("check", "seen", "finding"),
    [
        ("python", (3, 12, 1), Finding(True, "3.12.1")),
        (
            "python",
            (3, 10, 4),
            Finding(False, "Python is 3.10.4, and 3.11 is needed", "apt-get install python3.11"),
        ),
        ("packages", GOOD, Finding(True, "trio 0.35.0, rich 15.0.0")),
        (
            "packages",
            {**GOOD, "h11": ("0.16.0", "0.14.0")},
            Finding(False, "h11 is 0.14.0, locked is 0.16.0", PIP),
        ),
        (
            "packages",
            {**GOOD, "rocksdict": ("0.3.29", "not to be imported: No module named 'rocksdict'")},
            Finding(False, "rocksdict is not to be imported: No module named 'rocksdict'", PIP),
        ),
        ("disk space", 100 << 20, Finding(False, "100 MiB free here", "free 512 MiB, or run elsewhere")),
        (
            "memory",
            "MemTotal:  1 kB\nMemAvailable:  204800 kB\n",
            Finding(False, "200 MiB available", "end something that uses it"),
        ),
        ("memory", "", Finding(True, "this system does not tell")),
        ("open files", 256, Finding(False, "256 may be open", "ulimit -n 4096")),
        ("root", ("linux", 1000), Finding(False, "not root", "sudo harness ...")),
        (
            "root",
            ("darwin", 0),
            Finding(False, "this is darwin, and namespaces need Linux", "use a Linux machine or VM"),
        ),
        (
            "namespaces",
            (1, "unshare: unshare failed: Operation not permitted\n"),
            Finding(
                False,
                "namespaces cannot be made: unshare: unshare failed: Operation not permitted",
                "be root; in a container, docker run --privileged",
            ),
        ),
        ("sshd", None, Finding(False, "sshd is missing", "apt-get install openssh-server")),
    ],
)
def test_what_is_seen_is_read(check: str, seen: object, finding: Finding) -> None:
    found = BY_NAME[check].read(seen)
    assert (found.ok, found.detail) == (finding.ok, finding.detail)
    assert found.ok or found.remedy == finding.remedy


def test_any_number_of_open_files_is_enough() -> None:
    assert BY_NAME["open files"].read(resource.RLIM_INFINITY).ok


def test_a_simulated_run_needs_neither_root_nor_sshd() -> None:
    rows = examine_here("sim")
    assert {row.where for row in rows} == {"here"}
    assert [row for row in rows if row.state == "missing"] == []
    assert {row.check for row in rows if row.check in ("python", "packages")} == {"python", "packages"}


def test_what_only_an_extra_wants_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    found = BY_NAME["packages"].look()
    assert "pytest" not in found
    assert "msgspec" in found
    assert BY_NAME["packages"].read(found).ok


def test_a_path_without_the_system_s_programs_is_no_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "No such file" not in BY_NAME["namespaces"].look()[1]
    assert BY_NAME["mount"].look() == "/usr/bin/mount"


def test_what_is_missing_and_not_needed_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    without = here.OwnCheck("sshd", frozenset({"netns"}), lambda: None, BY_NAME["sshd"].read)
    monkeypatch.setattr(here, "OWN_CHECKS", (without,))
    assert [row.state for row in examine_here("netns")] == ["missing"]
    assert [row.state for row in examine_here("local")] == ["not needed"]
