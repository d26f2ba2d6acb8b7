"""`harness list`: everything that can be named."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.text import Text

from checkers.models import MODELS
from harness import catalog
from harness.commands.terminal import Terminal
from store.core.data import levels


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_list)


def _list(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Everything that can be named, a line each."""
    console = Terminal()
    kinds: dict[str, dict[str, str]] = {
        "workload": {name: kind.summary for name, kind in catalog.WORKLOADS.items()},
        "fault": {name: kind.summary for name, kind in catalog.FAULTS.items()},
        "amount": {place: str(amount) for place, amount in catalog.AMOUNTS.items()},
        "cluster": {name: kind.summary for name, kind in catalog.CLUSTERS.items()},
        "level": {**levels.NAMES, "r=R,w=W": "R replicas answer a read and W a write"},
        "model": {name: model.summary for name, model in MODELS.items()},
    }
    for kind, names in kinds.items():
        for name, summary in names.items():
            line = Text.assemble((f"{kind:<10}", "dim"), (f"{name:<18}", "bold"), summary)
            console.print(line, soft_wrap=True)
    return 0
