"""What can go wrong for whoever asks the store, and whether the request may have had an effect.

StoreError
+-- NotSent       certainly had no effect
|   +-- BadRequest    for no node would take it
+-- Lost          may have had one
+-- NotServed     a node answered that it did not serve the request, and whether that is definite
|   +-- Mismatch  cas: the key held something else
+-- WrongKind     the key is in a bucket of another kind than was asked for; read all the same
"""

from __future__ import annotations

from store.core.messages import DEFINITE, Failed


class StoreError(Exception):
    """One sentence for whoever asked. `definite`: the request certainly had no effect."""

    definite = False


class NotSent(StoreError):
    """The request was never handed to a node, so it certainly had no effect."""

    definite = True


class BadRequest(NotSent):
    """The key or the value is of a size that no node takes."""


class Lost(StoreError):
    """The request was sent and nothing is known of it: the connection broke, or the time was up."""


class NotServed(StoreError):
    """The node's refusal; `code` is a key of `DEFINITE`, and `definite`: it certainly had no effect."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.definite = DEFINITE.get(code, False)


class Mismatch(NotServed):
    """A cas found something else than was expected; nothing was changed."""


class WrongKind(StoreError):
    """What the key holds is of another kind than the caller wanted to read."""

    definite = True


def refusal(failed: Failed) -> NotServed:
    """The exception that a node's refusal becomes."""
    kind = Mismatch if failed.code == "mismatch" else NotServed
    return kind(failed.code, failed.text)
