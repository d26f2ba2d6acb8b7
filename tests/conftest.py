"""With STORMCELLAR_NO_SKIPS set (CI does), a skipped test fails the run: what was skipped was not tested.
Only the recorded histories of other systems may be absent, as long as nobody says that they are there."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

CORPORA = "STORMCELLAR_CORPORA"

# A job in the background ignores these, one under nohup the first, and so would all that is started here.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("STORMCELLAR_NO_SKIPS"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if CORPORA in reason and CORPORA not in os.environ:
            return
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and may not be here: {reason}"
