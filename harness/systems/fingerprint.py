"""A hash over the source files of a package, as the Python that runs this would import it.

It is run here and, sent as it stands, on hosts; so it imports nothing but the standard library.
"""

import hashlib
import importlib.util
import sys
from pathlib import Path


def fingerprint(name: str) -> str:
    """Over the paths and the contents of its `.py` files; empty if there is no such package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return ""
    top = Path(spec.origin).parent
    whole = hashlib.sha256()
    for path in sorted(top.rglob("*.py")):
        whole.update(path.relative_to(top).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    print(fingerprint(sys.argv[1]))
