"""The command `kv`: run a node of the store, or ask one."""

from __future__ import annotations

import sys

from store import interrupt


def main(argv: list[str] | None = None) -> int:
    """Run `kv`; the exit status."""
    interrupt.ends_at_once()
    try:
        from store.cli.main import main as run  # takes a while

        return run(argv)
    except KeyboardInterrupt:
        print("kv: interrupted", file=sys.stderr)
        return 1
    finally:
        interrupt.is_raised()


if __name__ == "__main__":
    sys.exit(main())
