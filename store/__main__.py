"""The command `kv`: run a node of the store, or ask one."""

from __future__ import annotations

import sys

from store import interrupt


def main(argv: list[str] | None = None) -> int:
    """Run `kv`; the exit status."""

    def run() -> int:
        from store.cli.main import main as kv  # takes a while

        return kv(argv)

    return interrupt.command("kv", run, 1)


if __name__ == "__main__":
    sys.exit(main())
