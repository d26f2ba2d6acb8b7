"""Every message of the store, as typed values, one file for each family; `store/net/wire.py` puts them on the
wire. Tags are unique over all families."""

from __future__ import annotations

from store.core.messages.base import *
from store.core.messages.client import *
from store.core.messages.epochs import *
from store.core.messages.gossip import *
from store.core.messages.hello import *
from store.core.messages.layout import *
from store.core.messages.records import *
from store.core.messages.repair import *
from store.core.messages.replica import *
from store.core.messages.transfer import *

PeerMessage = Question | Answer | Gossip | EpochMessage
