"""What is shipped: one distribution with exactly five top-level packages and two commands."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"store", "harness", "nemesis", "checkers", "workloads"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("stormcellar-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_every_module_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    written = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert shipped == written


def test_what_modules_read_beside_them_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    written = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for kind in ("css", "js", "html")
        for path in (ROOT / package).rglob(f"*.{kind}")
    }
    assert "harness/report/html/main.js" in written
    assert written <= set(wheel.namelist())


def test_it_has_the_two_commands(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entry_points).decode()
    assert "harness = harness.__main__:main" in text
    assert "kv = store.__main__:main" in text
