"""What `kv` imports before it begins."""

from __future__ import annotations

import subprocess
import sys


def test_a_node_waits_for_nothing_that_other_commands_need() -> None:
    asks = "import sys\nimport store.cli.main\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", asks, "node"], capture_output=True, text=True, check=True)
    imported = set(told.stdout.split())
    assert "store.process" in imported
    assert imported & {"cryptography", "prometheus_client", "store.bench", "store.cli.data"} == set()
