from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sshd import PROGRAM, Sshd, sshd_in


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Runs, with its first key, at the beginning of every test that leaves it so."""
    if PROGRAM is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    with sshd_in(tmp_path_factory.mktemp("sshd")) as private:
        yield private


@pytest.fixture
def own_sshd(tmp_path: Path) -> Iterator[Sshd]:
    """One that a test may stop and change."""
    if PROGRAM is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    with sshd_in(tmp_path) as private:
        yield private
