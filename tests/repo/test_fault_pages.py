"""Every fault has its page, which its index names, and which shows how it is asked for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness.catalog import CLUSTERS
from harness.plan import Plan
from nemesis.compose import AMOUNTS, FAULTS, parse_faults

PAGES = Path(__file__).resolve().parents[2] / "docs/faults"
FIVE = ("n1", "n2", "n3", "n4", "n5")
LINES_MAX = 60


def test_there_is_a_page_for_each_fault_and_for_nothing_else() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {*FAULTS, "README", "SAFETY"}


def test_the_index_names_them_in_the_order_of_their_healing() -> None:
    rows = re.findall(
        r"^\| \[([a-z-]+)\]\(([a-z-]+)\.md\) \|", (PAGES / "README.md").read_text(), re.MULTILINE
    )
    assert rows == [(name, name) for name in FAULTS]


def test_the_index_says_which_clusters_can_make_what() -> None:
    plans = (
        Plan(cluster="sim"),
        Plan(cluster="local"),
        Plan(cluster="netns"),
    )
    clusters = [CLUSTERS[plan.cluster].make(plan) for plan in plans]
    told = re.findall(
        r"^\| \[([a-z-]+)\].* \| (yes|-) \| (yes|-) \| (yes|-) \|$",
        (PAGES / "README.md").read_text(),
        re.MULTILINE,
    )
    assert told == [
        (name, *("yes" if kind.make(FIVE, None).supported(cluster) else "-" for cluster in clusters))
        for name, kind in FAULTS.items()
    ]


def test_the_index_says_how_much_can_be_asked_for() -> None:
    told = re.findall(
        r"^\| `(\S+?)(=\S+)` \| (.*) \| .* \|$", (PAGES / "README.md").read_text(), re.MULTILINE
    )
    limits = [
        (place, form, [float(figure) for figure in re.findall(r"-?[0-9.]+", rest)])
        for place, form, rest in told
    ]
    assert limits == [
        (
            place,
            amount.form,
            [*(measure.least for measure in amount.measures), *(measure.most for measure in amount.measures)],
        )
        for place, amount in AMOUNTS.items()
    ]


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_page_is_short_and_named_after_its_fault(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text()
    assert text.startswith(f"# {name}: ")
    assert len(text.splitlines()) <= LINES_MAX


@pytest.mark.parametrize("name", [*FAULTS, "README"])
def test_examples_ask_for_faults_that_there_are(name: str) -> None:
    examples = re.findall(r"^    (?:sudo )?harness run .*", (PAGES / f"{name}.md").read_text(), re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(example)
        asked = words[words.index("--faults") + 1].split(",")
        faults = parse_faults(asked, FIVE)
        assert name == "README" or name in [fault.name for fault in faults]
