from __future__ import annotations

from pathlib import Path

import pytest

from checkers.history import Op
from harness.demo import base
from harness.demo.base import Conditions, DemoError, record
from harness.plan import Plan
from harness.run import Recorded


def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Recorded) -> list[Op]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "execute", lambda *pieces: found)
    return record("it", "a-part", Plan(seed=1), None, None, None)  # type: ignore[arg-type]


def test_the_history_of_a_run_is_handed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert recorded(monkeypatch, tmp_path, Recorded([Op(f="read")])) == [Op(f="read")]
    assert len(list((tmp_path / "runs/demo-it/a-part").iterdir())) == 1


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Recorded(failures=["n1 did not start", "more"]), "^a-part: n1 did not start$"),
        (Recorded(interrupted_s=2.0), "^interrupted in a-part; what was recorded is in runs/demo-it/a-part/"),
    ],
)
def test_half_a_run_has_no_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Recorded, says: str
) -> None:
    with pytest.raises(DemoError, match=says):
        recorded(monkeypatch, tmp_path, found)


def test_of_more_hosts_than_are_needed_the_first_are_taken(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"root@10.0.0.{number} name=h{number}\n" for number in (1, 2, 3)))
    assert Conditions(1, "ssh", str(hosts)).nodes(2) == ("h1", "h2")
    assert Conditions(1, "local").nodes(2) == ("n1", "n2")
