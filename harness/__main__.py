"""The command `harness`, from its first moment: what it needs takes a while to import."""

from __future__ import annotations

import sys


def main() -> int:
    """Run `harness`; the exit status."""
    try:
        from harness.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return 255


if __name__ == "__main__":
    sys.exit(main())
