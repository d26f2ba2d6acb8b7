"""Somebody else's system, by its name; the one of docs/systems.md as it stands."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from harness.cli import main
from harness.cluster.base import ClusterError
from harness.plan import Plan, PlanError, replay_command
from harness.systems.base import Daemon, Site
from harness.systems.named import load

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/systems.md").read_text()


ODD = """
import trio
from registers import Registers

class Text(Registers):
    port = "7300"

class Raises(Registers):
    @property
    def name(self):
        raise KeyError("name")

class Odd(Registers):
    async def setup(self, site, sites): raise KeyError("a\\nb")
    def daemons(self, site): return ("python3",)
    def data(self, site): return None
    async def serves(self, site): raise OSError("no")
    async def roles(self, sites, running): return {"first": "n1"}
    def logs(self, site): return "/log"
    async def teardown(self, site): await trio.sleep(-1)
"""
"""What nobody should bring."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the guide's files, from which the harness is started."""
    for code in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        (tmp_path / code.split()[1]).write_text(code)
    (tmp_path / "broken.py").write_text("def half(\n")
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "odd.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module in ("registers", "odd"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_the_guide_s_system_is_found_where_the_harness_is_started(here: Path) -> None:
    found = load("registers:Registers")
    assert (found.port, found.role_names) == (7300, ("first", "other"))
    site = cast(Site, SimpleNamespace(node="n1", home="/srv/n1", address="192.0.2.1"))
    found._made.first = "192.0.2.1"  # type: ignore[attr-defined]
    argv = ("python3", "/srv/n1/server.py", "192.0.2.1", "7300", "192.0.2.1", "/srv/n1/data/values")
    assert found.daemons(site) == (Daemon("server", argv, "/srv/n1/log"),)
    assert (found.data(site), found.logs(site)) == ("/srv/n1/data", ("/srv/n1/log",))
    sites = [site, cast(Site, SimpleNamespace(node="n2"))]
    roles = trio.run(found.roles, sites, ["n1"])
    assert roles == {"first": ("n1",), "other": ("n2",)}


def test_what_its_system_raises_or_answers_beyond_what_was_promised_is_told_with_its_place(
    here: Path,
) -> None:
    odd = load("odd:Odd")
    site = cast(Site, SimpleNamespace(node="n1"))
    told = {}
    for part in ("setup", "daemons", "data", "serves", "roles", "logs", "teardown"):

        async def ask(part: str = part) -> None:
            extra: list[Any] = {"setup": [[]], "roles": [[]]}.get(part, [])
            answer = getattr(odd, part)(site, *extra)
            if not isinstance(answer, (str, tuple)):
                await answer

        with pytest.raises(ClusterError, match=f"^odd:Odd broke in {part}: ") as broken:
            trio.run(ask)
        told[part] = str(broken.value).partition(": ")[2]
    assert told == {
        "setup": "KeyError: 'a\\nb' (odd.py, line 14)",
        "daemons": "ValidationError: Expected `object`, got `str` - at `$[0]`",
        "data": "ValidationError: Expected `str`, got `null`",
        "serves": "OSError: no (odd.py, line 17)",
        "roles": "ValidationError: Expected `array`, got `str` - at `$[...]`",
        "logs": "ValidationError: Expected `array`, got `str`",
        "teardown": "ValueError: `seconds` must be non-negative (odd.py, line 20)",
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere:X", "nowhere:X cannot be made: ModuleNotFoundError: No module named 'nowhere'"),
        ("broken:X", "broken:X cannot be made: SyntaxError: "),
        ("registers:Nobody", "registers:Nobody cannot be made: AttributeError: "),
        ("registers:Session", "registers:Session cannot be made: TypeError: "),
        ("ends:X", "ends:X cannot be made: SystemExit: 0 (ends.py, line 2)"),
        ("odd:Raises", "odd:Raises cannot be made: KeyError: 'name' (odd.py, line 11)"),
        ("odd:Text", "odd:Text is no System (docs/systems.md): Expected `int`, got `str` - at `$.port`"),
        ("builtins:object", "builtins:object is no System (docs/systems.md): it lacks name, role_names, "),
    ],
)
def test_what_is_no_system_is_told_in_a_sentence(here: Path, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        load(name)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(system="registers"), "--system is 'registers'; allowed: store, or MODULE:CLASS"),
        (Plan(system="a:B"), "--system a:B is only for --cluster netns and ssh, and this is sim"),
        (
            Plan(cluster="netns", system="a:B", faults=("membership",)),
            "--faults: nobody here knows how a:B changes its members, so no membership",
        ),
    ],
)
def test_what_only_the_bundled_store_can_is_refused_of_others(plan: Plan, said: str) -> None:
    with pytest.raises(PlanError, match=f"^{re.escape(said)}$"):
        plan.validate()


def test_a_run_of_another_system_is_run_again_with_it() -> None:
    assert "--cluster netns --system a:B " in replay_command(Plan(cluster="netns", system="a:B"))


@pytest.mark.real
@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux")
@pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/bin") is None,
    reason="sshd is not installed (apt-get install openssh-server)",
)
def test_the_guide_leads_to_a_verdict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That of the system that it says is broken: it takes the most to come about. It is judged again where
    that system is not."""
    server = here / "server.py"
    sound = server.read_text()
    server.write_text(re.sub(r".*(log\.flush|os\.fsync).*\n", "", sound))
    assert sound.count("\n") - server.read_text().count("\n") == 2
    words = "run --cluster netns --nodes 2 --system registers:Registers --faults kill:all --fault-interval 1"
    until = ("--time-limit", "30", "--stop-on-violation")
    assert main([*words.split(), *until, "--seed", "1", "--quiet"]) == 1
    assert "availability" not in capsys.readouterr().out
    (run,) = (here / "runs/register").iterdir()
    assert (run / "nodes/n1.log").exists()
    (here / "registers.py").unlink()
    assert main(["analyze", str(run)]) == 1
