"""The command `harness`, from its first moment: what it needs takes a while to import."""

from __future__ import annotations

import sys

from store import interrupt


def main() -> int:
    """Run `harness`; the exit status."""
    interrupt.ends_at_once()
    try:
        from harness.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return 255
    finally:
        interrupt.is_raised()


if __name__ == "__main__":
    sys.exit(main())
