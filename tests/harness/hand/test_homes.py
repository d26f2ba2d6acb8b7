from __future__ import annotations

from pathlib import Path

import pytest

from harness.hand import homes
from harness.hand.context import Context, Refused
from harness.hand.undo import UndoLog


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = tmp_path / "ours"
    home.mkdir()
    return Context(home, UndoLog(home / "undo.jsonl"))


def home_of(context: Context, node: str = "n1") -> Path:
    return Path(homes.home(context, {"node": node})["path"])


def test_a_home_is_made_empty_and_is_removed_whole(context: Context) -> None:
    path = home_of(context)
    assert path == context.home / "nodes/n1"
    (path / "data").mkdir()
    (path / "data/file").write_text("x")
    assert list(home_of(context).iterdir()) == []
    (entry,) = context.undo.open()
    (path / "data").mkdir()
    assert homes.undo(entry.args) == f"{path} was removed"
    assert not path.exists()
    assert homes.undo(entry.args) == f"{path} is not there"
    assert context.home.exists()


@pytest.mark.parametrize("node", ["", "..", ".", "a/b", "-rf", "n1/../../x", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(context: Context, node: str) -> None:
    with pytest.raises(Refused, match="is no name for a node"):
        homes.home(context, {"node": node})
    with pytest.raises(Refused, match="is no name for a node"):
        homes.undo({"home": str(context.home), "node": node})


def test_a_directory_is_emptied_but_stays_and_links_are_not_followed(
    context: Context, tmp_path: Path
) -> None:
    data = home_of(context) / "data"
    (data / "deep/er").mkdir(parents=True)
    (data / "deep/er/file").write_text("x")
    (data / "file").write_text("x")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "kept").write_text("x")
    (data / "link").symlink_to(foreign)
    inode = data.stat().st_ino
    assert homes.wipe(context, {"node": "n1", "directory": str(data)}) == {"removed": 3}
    assert data.stat().st_ino == inode
    assert list(data.iterdir()) == []
    assert (foreign / "kept").exists()
    assert homes.wipe(context, {"node": "n1", "directory": str(data / "none")}) == {"removed": 0}


def test_nothing_is_emptied_that_is_not_in_the_home_of_that_node(context: Context, tmp_path: Path) -> None:
    home = home_of(context)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "kept").write_text("x")
    (home / "link").symlink_to(foreign)
    other = home_of(context, "n2") / "data"
    other.mkdir()
    for directory in (foreign, home, home / "link", home / "../n2/data", other, "data", "/"):
        with pytest.raises(Refused, match="it is not emptied"):
            homes.wipe(context, {"node": "n1", "directory": str(directory)})
    assert (foreign / "kept").exists()


def test_a_home_that_is_a_link_is_removed_and_not_what_it_points_to(context: Context, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    home = home_of(context)
    home.rmdir()
    home.symlink_to(foreign)
    homes.undo({"home": str(context.home), "node": "n1"})
    assert not home.is_symlink()
    assert foreign.exists()
