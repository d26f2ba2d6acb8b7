"""The hand runs under whatever Python a host has, from 3.8 on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cluster.hosts.parcel import modules, parcel

OLDEST = (3, 8)


@pytest.mark.parametrize("name", [name for name in modules() if name.endswith(".py") and "hand/" in name])
def test_every_module_is_written_in_its_words(name: str) -> None:
    tree = ast.parse(modules()[name], name, feature_version=OLDEST)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not imports or "__future__" in ast.unparse(imports[0])


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_the_parcel_runs_by_itself_with_nothing_of_ours_around(tmp_path: Path) -> None:
    program = tmp_path / "hand.pyz"
    program.write_bytes(parcel().content)
    (tmp_path / "home").mkdir()
    argv = [sys.executable, "-I", str(program), "heal", str(tmp_path / "home")]
    healed = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True, timeout=30)
    assert healed.stdout == '{"ended": null, "undone": [], "failed": []}\n'
