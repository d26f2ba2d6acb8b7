"""How a program speaks with the store.

`connect` gives a `Client` of one node, over one connection; `open_cluster` a `Cluster`, which finds for each
key a node that owns it and asks another where that is safe. Both have the methods of `Operations`, and raise
the errors of `store/client/errors.py`.
"""

from __future__ import annotations

from store.client.connection import Client, connect
from store.client.errors import BadRequest, Lost, Mismatch, NotSent, NotServed, StoreError, WrongKind
from store.client.operations import LEVEL, MERGED, TIMEOUT_S, Operations
from store.client.pool import Cluster, open_cluster

__all__ = [
    "LEVEL",
    "MERGED",
    "TIMEOUT_S",
    "BadRequest",
    "Client",
    "Cluster",
    "Lost",
    "Mismatch",
    "NotSent",
    "NotServed",
    "Operations",
    "StoreError",
    "WrongKind",
    "connect",
    "open_cluster",
]
