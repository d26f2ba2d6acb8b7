"""What is told of a cut when calls over it are late."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hand import iptables, network
from harness.hand.context import Context
from harness.hand.iptables import Counted
from harness.hand.undo import UndoLog


def test_a_call_that_is_late_is_counted_and_one_that_never_comes_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(tmp_path, UndoLog(tmp_path / "undo.jsonl"))
    counts = iter([0, 0, 8])
    soon = Counted("10.77.0.3", True, 1)
    monkeypatch.setattr(iptables, "counts", lambda *given: [soon, Counted("10.77.0.2", True, next(counts))])
    dropped = {"10.77.0.3": 1, "10.77.0.2": 8}
    assert network.heard(context, {"wanted": []}) == {"heard": [], "dropped": dropped}
    monkeypatch.setattr(network, "HEARD_LIMIT_S", 0.05)
    monkeypatch.setattr(iptables, "counts", lambda *given: [Counted("10.77.0.2", True, 0)])
    assert network.heard(context, {"wanted": []}) == {"heard": [], "dropped": {"10.77.0.2": 0}}
