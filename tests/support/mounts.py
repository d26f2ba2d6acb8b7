"""Small file systems of their own, for tests of full disks and power failures: in a private mount namespace,
so that nothing of them shows on the machine and all is gone with the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def why_not(*tools: str) -> str:
    """Why nothing can be mounted here; empty if it can."""
    if sys.platform != "linux":
        return "needs Linux"
    missing = [tool for tool in ("unshare", "mount", *tools) if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run([*_AS_ROOT, "unshare", "-m", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"needs root: {tried.stderr.strip()}"


def run(mount: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shell command `mount` and then the Python `script` in a mount namespace of their own; both
    have `arguments` ($1, sys.argv[1], ...)."""
    both = f'set -e; {mount}; exec "$PYTHON" -c "$SCRIPT" "$@"'
    environment = (f"PYTHON={sys.executable}", f"SCRIPT={script}", f"PYTHONPATH={ROOT}")
    return subprocess.run(
        [*_AS_ROOT, "env", *environment, "unshare", "-m", "sh", "-c", both, "sh", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


_IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
_AS_ROOT = ["sudo", "-n"] if "CI" in os.environ and not _IS_ROOT else []
"""Only a CI machine is asked for more than the user has."""
