"""`pytest --chaos`: tests that break the service under test. See docs/pytest.md.

This module is loaded into every pytest of an environment that has us, so it imports nothing of ours: the
fixtures `chaos_cluster` and `chaos_run` are in `harness/plugin/fixtures.py`, and come with `--chaos`.
Without it, tests that ask for them are skipped.
"""

from __future__ import annotations

import pytest

FIXTURES = "harness.plugin.fixtures"
ASKED_BY = frozenset({"chaos_cluster", "chaos_run"})


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "fault injection (stormcellar)")
    group.addoption("--chaos", action="store_true", help="run the tests that break their service")
    group.addoption(
        "--chaos-seed",
        type=int,
        metavar="N",
        help="what is asked, and which faults come when (drawn for each run, and told of one that fails)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--chaos"):
        config.pluginmanager.import_plugin(FIXTURES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--chaos"):
        return
    skip = pytest.mark.skip(reason="it breaks its service, and runs with --chaos only")
    for item in items:
        if ASKED_BY.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(skip)
