"""The repository looks after itself: locks without addresses, and links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_carry_versions_and_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    pins = re.findall(r"^[a-z0-9-]+==\S+", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(pins) == len(blocks) > 3
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_two_lock_files_agree() -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))

    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in tracked("*.md")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_files_that_documents_name_exist() -> None:
    """Paths in backquotes, such as `store/core/node.py`."""
    broken = [
        f"{document.relative_to(ROOT)}: {name}"
        for document in tracked("*.md")
        for name in re.findall(
            r"`((?:store|harness|nemesis|checkers|workloads|tests|docs|benchmarks)/[\w/.-]+\.\w+)`",
            document.read_text(),
        )
        if not (ROOT / name).exists()
    ]
    assert broken == []
