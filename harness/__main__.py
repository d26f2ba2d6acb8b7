"""The command `harness`, from its first moment: what it needs takes a while to import."""

from __future__ import annotations

import signal
import sys

from store import interrupt


def main() -> int:
    """Run `harness`; the exit status. Told to end by SIGTERM or by a terminal that goes away, it clears up as
    at ctrl-C."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    return interrupt.command("harness", _run, 255)


def _run() -> int:
    from harness.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
