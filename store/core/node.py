"""One node: routes inputs to its parts, and effects out.

What the protocols *are* stands in the parts' own files; who waits for what, in tasks.py. Here is only who is
asked.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from store.core.coordination import Coordination
from store.core.coordinator import Coordinator
from store.core.data.edits import Edits
from store.core.data.hlc import HybridClock
from store.core.gossip.sight import Sight
from store.core.gossip.swim import Swim
from store.core.journal import Journal
from store.core.machine import (
    ClientGone,
    DamagedRecord,
    DiskFull,
    Effect,
    FromClient,
    FromPeer,
    Happened,
    Input,
    Meet,
    Persisted,
    Records,
    Reply,
    Send,
    SendTo,
    Started,
    TimerFired,
)
from store.core.messages import (
    ANSWERED_BY,
    Accept,
    Admin,
    Failed,
    Layout,
    Locate,
    Located,
    Mend,
    Note,
    PeerMessage,
    Prepare,
    Question,
    Refused,
    Report,
    Request,
    Response,
    Session,
    Stale,
    Stamp,
    Status,
    Store,
    Unable,
)
from store.core.options import Options
from store.core.ownership.epochs import Epochs
from store.core.ownership.layout import Placement
from store.core.ownership.transfer import Transfer
from store.core.part import Part
from store.core.procedure import Procedure
from store.core.proposer import Proposer
from store.core.repair.antientropy import AntiEntropy
from store.core.repair.hints import Hints
from store.core.repair.inventory import Inventory
from store.core.repair.scrub import Scrub
from store.core.repair.tombstones import Tombstones
from store.core.replica import Replica
from store.core.tasks import Tasks
from store.core.timers import Timers

OPEN_REQUESTS_MAX = 10_000

CHANGING = frozenset({Prepare, Accept, Mend})
"""Questions that a replica answers only once it has written something. For Store and
Update the replica sees to that itself."""

UNSYNCED_RECORDS_MAX = 50_000
UNSYNCED_BYTES_MAX = 64 << 20
"""With so much waiting for its disk, a replica takes no more changes."""

BOOT_SHIFT = 40
RID_SPAN = 1 << 62
"""Request numbers are birth + boot number * 2**40 + counter, so they are never used twice: not after a crash,
and not by a node that has lost its disk and begins anew under its name."""

BIRTH = "m/birth"
"""Storage key of the node's own."""

T = TypeVar("T")


class Node:
    """The whole store of one node, sans I/O: see machine.py for what the driver must hold to. To its parts it
    is their `Port`.

    `first` is the layout with which the cluster began, None on a node that joins later; `boot` is greater at
    each start of the node; `records` is what is durable; `rng` is only this node's.
    """

    def __init__(
        self,
        name: str,
        first: Layout | None,
        boot: int,
        records: Records,
        rng: random.Random,
        options: Options = Options(),
    ) -> None:
        if first is not None and name not in [member.name for member in first.owners]:
            raise ValueError(
                f"node {name!r} is not one of the owners: {', '.join(owner.name for owner in first.owners)}"
            )
        self.name = name
        self.boot = boot
        self.rng = rng
        self.now = 0
        self.wall = 0
        self.counters: Counter[str] = Counter()
        self._effects: list[Effect] = []
        self._inbox: deque[PeerMessage] = deque()
        self._timers = Timers(self._effects.append)
        self._disk_full = False
        self.journal = Journal(records, self._effects.append, self.send)
        self._clock = HybridClock(name, self.journal)
        self.birth = self._born()
        self._last_rid = (self.birth + (boot << BOOT_SHIFT)) % RID_SPAN
        self._tasks = Tasks(self, self._finished)
        self._replica = Replica(self, self._clock)
        self._replica.unable = self._unable
        self._edits = Edits(self, self._replica, self._clock)
        self._proposer = Proposer(self, lambda: self._replica.ballot_counter_seen)
        self._swim = Swim(self, options, lambda peer, epoch: self._epochs.heard(peer, epoch))
        self._sight = Sight(self, options, self._swim)
        self._epochs = Epochs(self, options, first, self._proposer)
        self._hints = self._replica.hints = Hints(self, options, self._replica)
        self._coordinator = Coordinator(self, self._clock, self._hints, self._unable)
        self._scrub = Scrub(self, options, self._replica, self._proposer, self._hints.drop)
        inventory = Inventory(self, self._replica, self._scrub.found)
        self._antientropy = AntiEntropy(
            self, options, self._replica, inventory, lambda: self._hints.delivered, self._scrub.found
        )
        self._tombstones = Tombstones(self, options, self._replica, inventory)
        self._swim.on_change.append(self._hints.changed)
        self._transfer = Transfer(self, options, self._replica, self._proposer, self._epochs.moved)
        self._epochs.changed.append(self._transfer.layout_changed)
        self._parts: tuple[Part, ...] = (
            self._swim,
            self._sight,
            self._epochs,
            self._hints,
            self._antientropy,
            self._tombstones,
            self._scrub,
            self._transfer,
        )
        self._questions = self._replica.handlers | self._antientropy.questions | self._tombstones.questions
        self._handlers: dict[type, Callable[[str, Any], None]] = {
            **dict.fromkeys(ANSWERED_BY, self._question),
            **dict.fromkeys((*ANSWERED_BY.values(), Refused, Session, Unable), self._tasks.answered),
            Stale: self._stale,
        }
        for part in self._parts:
            self._handlers |= part.handlers
        self._inputs: dict[type, Callable[[Any], None]] = {
            Started: self._started,
            FromPeer: self._from_peer,
            FromClient: self._from_client,
            ClientGone: self._client_gone,
            TimerFired: self._timer_fired,
            Persisted: self._persisted,
            DiskFull: self._disk_is_full,
        }

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        """Take one input at monotonic time `now` and wall-clock time `wall` (ns); the effects, in order."""
        self.now, self.wall = now, wall
        self._inputs[type(event)](event)
        while self._inbox:
            message = self._inbox.popleft()
            self._handlers[type(message)](self.name, message)
        effects = self._effects[:]
        self._effects.clear()
        return effects

    # Inputs ------------------------------------------------------------------------------------------

    def _started(self, event: Started) -> None:
        for part in self._parts:
            part.start()

    def _from_peer(self, event: FromPeer) -> None:
        self._handlers[type(event.message)](event.peer, event.message)

    def _question(self, peer: str, question: Question) -> None:
        place = self._epochs.placement
        if place is None or question.epoch != place.epoch or not self._epochs.serves:
            self.send(peer, Stale(question.rid, 0 if place is None else place.epoch))
            if type(question) is Store:
                self._replica.refuse_doubles(peer, Unable(question.rid, "unavailable"))
            self._epochs.heard(peer, question.epoch)
            return
        kind = type(question)
        unable = self._unable() if kind in CHANGING else None
        if unable is not None:
            self.send(peer, Unable(question.rid, unable))
            return
        try:
            self._questions[kind](peer, question)
        except DamagedRecord as damage:
            self._scrub.found(damage.key)
            self.send(peer, Unable(question.rid, "unavailable"))

    def _unable(self) -> str | None:
        """Why this replica takes no changes now, as a code."""
        if self._disk_full:
            return "disk-full"
        if self.journal.backlog >= UNSYNCED_RECORDS_MAX or self.journal.backlog_bytes >= UNSYNCED_BYTES_MAX:
            return "overloaded"
        return None

    def _stale(self, peer: str, answer: Stale) -> None:
        self._epochs.heard(peer, answer.epoch)
        self._tasks.answered(peer, answer)

    def _persisted(self, event: Persisted) -> None:
        self.journal.persisted(event.token)

    def _disk_is_full(self, event: DiskFull) -> None:
        self._disk_full = event.full
        self.happened("disk-full" if event.full else "disk-has-room")

    def _timer_fired(self, event: TimerFired) -> None:
        self._timers.fired(self.now)

    # Requests ----------------------------------------------------------------------------------------

    def _from_client(self, event: FromClient) -> None:
        client, request = event.client, event.request
        body = request.body
        if isinstance(body, Status):
            self._inform(client, Report(request.id, self.status()))
        elif isinstance(body, Locate):
            self._inform(client, self._located(request.id))
        elif self._tasks.open >= OPEN_REQUESTS_MAX:
            text = f"{OPEN_REQUESTS_MAX} requests are in progress"
            self._reply(client, Failed(request.id, "overloaded", text))
        else:
            self._serve(client, request)

    def _serve(self, client: int, request: Request) -> None:
        body = request.body
        deadline = self.now + request.timeout_ms * 1_000_000
        c = Coordination(self, self._proposer, request.id, deadline)
        procedure: Procedure[Response]
        if isinstance(body, Admin):
            match body.action:
                case "repair":
                    procedure = self._antientropy.admin(c)
                case "scrub":
                    procedure = self._scrub.admin(c)
                case _:
                    procedure = self._epochs.admin(c, body)
        elif self._epochs.standing == "left":
            self._reply(client, Failed(request.id, "unavailable", "this node has left the cluster"))
            return
        else:
            planned = self._coordinator.plan(c, body)
            if isinstance(planned, Failed):
                self._reply(client, planned)
                return
            procedure = planned
        self._tasks.begin(client, procedure, deadline)

    def _located(self, request_id: int) -> Response:
        place = self.placement
        if place is None:
            return Failed(request_id, "unavailable", "this node does not know yet who keeps what")
        addresses = {name: self._swim.address(name) for name in place.names}
        return Located(request_id, place.layout, {name: at for name, at in addresses.items() if at})

    def _finished(self, client: int, response: Response) -> None:
        self._reply(client, response)

    def _client_gone(self, event: ClientGone) -> None:
        self._tasks.client_gone(event.client)

    def _reply(self, client: int, response: Response) -> None:
        refused = isinstance(response, Failed) and response.code != "mismatch"
        self.counters["requests_failed" if refused else "requests_served"] += 1
        self._effects.append(Reply(client, response))

    def _inform(self, client: int, response: Response) -> None:
        """What monitors and clients ask all the time does not hide how many requests there are."""
        self.counters["inquiries_answered"] += 1
        self._effects.append(Reply(client, response))

    # The port ----------------------------------------------------------------------------------------

    @property
    def placement(self) -> Placement | None:
        return self._epochs.placement

    def alive(self, peer: str) -> bool:
        return peer == self.name or self._swim.alive(peer)

    def send(self, peer: str, message: PeerMessage) -> None:
        if peer == self.name:
            self._inbox.append(message)
        else:
            self._effects.append(Send(peer, message))

    def send_to(self, address: str, message: PeerMessage) -> None:
        self._effects.append(SendTo(address, message))

    def meet(self, peer: str, address: str) -> None:
        self._effects.append(Meet(peer, address))

    def after(self, nanos: int, act: Callable[[], None]) -> int:
        return self._timers.at(self.now + nanos, act)

    def cancel(self, token: int) -> None:
        self._timers.cancel(token)

    def run(self, procedure: Generator[Any, Any, T], timeout_nanos: int, then: Callable[[T], None]) -> None:
        self._tasks.run(procedure, self.now + timeout_nanos, then)

    def next_rid(self) -> int:
        self._last_rid += 1
        return self._last_rid

    def stamp(self) -> Stamp:
        return self._clock.stamp(self.wall // 1_000)

    def happened(self, kind: str, /, **fields: Any) -> None:
        self.counters["event_" + kind] += 1
        self._effects.append(Happened(kind, fields))

    # ---------------------------------------------------------------------------------------------------

    def _born(self) -> int:
        """The name of this life of the data directory, drawn when it begins."""
        held = self.journal.get(BIRTH)
        if isinstance(held, Note):
            return int(held.content)
        birth = self.rng.getrandbits(62) | 1
        self.journal.put(BIRTH, Note(birth))
        return birth

    def status(self) -> dict[str, Any]:
        """What `kv status` shows."""
        own: dict[str, Any] = {
            "node": self.name,
            "boot": self.boot,
            "birth": self.birth,
            "wall_ms": self.wall // 1_000_000,
            "requests_served": self.counters["requests_served"],
            "requests_failed": self.counters["requests_failed"],
            "requests_open": self._tasks.open,
            "inquiries_answered": self.counters["inquiries_answered"],
            "unsynced_records": self.journal.backlog,
            "disk_full": self._disk_full,
        }
        for part in self._parts:
            own |= part.status()
        return own
