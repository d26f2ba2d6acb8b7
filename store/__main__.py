"""The command `kv`: run a node of the store, or ask one."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run `kv`; the exit status."""
    try:
        from store.cli.main import main as run  # takes a while, in which ctrl-C shall show no traceback

        return run(argv)
    except KeyboardInterrupt:
        print("kv: interrupted", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
