"""The commands by which a cluster is looked at and operated."""

from __future__ import annotations

from typing import Any, Final

import trio
from rich.console import Group
from rich.text import Text

from store.cli import views
from store.cli.arguments import Parser, Subparsers, add_cluster_options, command, parsed, whole
from store.cli.output import EXIT_NO
from store.cli.session import Command, Session
from store.cli.views import Told
from store.client.errors import StoreError
from store.config import Address, parse_address, parse_name
from store.core.messages import REPLICATION_MAX, Layout
from store.core.ownership.layout import Placement, first_layout
from store.core.ownership.moves import balance, moved_share

ADMIN_TIMEOUT_S: Final = 600.0
LOOK_S: Final = 2.0
"""How long one node of several may take to tell its status."""


async def status(session: Session) -> int:
    if session.args.all or len(session.nodes) > 1:
        return await _status_of_all(session)
    report = await session.store.status(session.args.timeout)
    return session.output.answer(report, views.status_text(report), views.status_view(report))


async def _status_of_all(session: Session) -> int:
    nodes = await _all_nodes(session) if session.args.all else dict.fromkeys(session.nodes, "?")
    told = await _statuses(session, nodes)
    documents = [
        {"address": str(one.address)} | ({"error": one.error} if one.status is None else dict(one.status))
        for one in told
    ]
    text = views.rows_text(views.HEADINGS, views.cluster_rows(told))
    silent = any(one.status is None for one in told)
    return session.output.answer(documents, text, views.cluster_view(told), EXIT_NO if silent else 0)


async def _statuses(session: Session, nodes: dict[Address, str]) -> list[Told]:
    """What each of `nodes`, which have these names, says; asked side by side."""
    told: dict[Address, Told] = {}

    async def look(address: Address) -> None:
        try:
            report = await session.store.at(address).status(min(LOOK_S, session.args.timeout))
        except StoreError as error:
            told[address] = Told(address, None, str(error), nodes[address])
        else:
            told[address] = Told(address, report, "")

    async with trio.open_nursery() as nursery:
        for address in nodes:
            nursery.start_soon(look, address)
    return [told[address] for address in nodes]


async def _all_nodes(session: Session) -> dict[Address, str]:
    """Every node whose address is known, and those that were named by address; what they are called."""
    found = await session.store.locate(session.args.timeout)
    known = {parse_address(found.addresses[name]): name for name in sorted(found.addresses)}
    return known | {address: "?" for address in session.nodes if address not in known}


# The ring --------------------------------------------------------------------------------------------


async def ring(session: Session) -> int:
    found = await session.store.locate(session.args.timeout)
    place = Placement(found.layout)
    document = _ring_document(place, found.addresses)
    if session.args.key is not None:
        lists = place.replicas(session.args.key)
        document["key"] = {"key": session.args.key, "replicas": [list(names) for names in lists]}
    rows = [
        (
            name,
            node["address"] or "-",
            f"{node['share']:.1%}",
            f"{node['next_share']:.1%}" if place.joint else "",
        )
        for name, node in document["nodes"].items()
    ]
    headings = ("node", "address", "share of copies", "share after the move")
    shown = headings if place.joint else headings[:3]
    view = views.table(*shown, right=headings[2:], title=_ring_title(document))
    for row in rows:
        view.add_row(*row[: len(shown)])
    notes = _ring_notes(document)
    text = views.rows_text(shown, [row[: len(shown)] for row in rows])
    text += "".join([f"# {note}\n" for note in notes])
    return session.output.answer(document, text, Group(view, Text("\n".join(notes))))


def _ring_document(place: Placement, addresses: dict[str, str]) -> dict[str, Any]:
    layout = place.layout
    now = balance(place)
    later = balance(_after(place)) if place.joint else now
    return {
        "epoch": layout.epoch,
        "moving": place.joint,
        "replication": layout.replication,
        "vnodes": layout.vnodes,
        "council": list(layout.council),
        "buckets": [
            {"name": bucket.name, "n": bucket.n, "conflict": bucket.conflict} for bucket in layout.buckets
        ],
        "nodes": {
            name: {
                "address": addresses.get(name, ""),
                "share": now.get(name, 0.0),
                "next_share": later.get(name, 0.0),
            }
            for name in place.names
        },
        "moves": moved_share(place, _after(place)) if place.joint else 0.0,
        "one_more_node_would_move": _with_one_more(place),
    }


def _after(place: Placement) -> Placement:
    """As it will be when nothing moves any more."""
    layout = place.layout
    return Placement(
        Layout(
            epoch=layout.epoch + 1,
            owners=layout.next or layout.owners,
            replication=layout.replication,
            vnodes=layout.vnodes,
            council=layout.council,
        )
    )


def _with_one_more(place: Placement) -> float:
    """The share of all copies that would move to a node that joined now."""
    after = _after(place)
    names = [member.name for member in after.layout.owners]
    stranger = next(name for number in range(len(names) + 1) if (name := f"new{number}") not in names)
    grown = first_layout([*names, stranger], place.layout.replication, place.layout.vnodes)
    return moved_share(after, Placement(grown))


def _ring_title(document: dict[str, Any]) -> str:
    moving = ", ownership moves" if document["moving"] else ""
    return f"epoch {document['epoch']}: {document['replication']} copies of each key{moving}"


def _ring_notes(document: dict[str, Any]) -> list[str]:
    notes = [f"council: {', '.join(document['council'])}"]
    if document["moving"]:
        notes.append(f"{document['moves']:.1%} of all copies move by this change")
    notes.append(f"one more node would take {document['one_more_node_would_move']:.1%} of all copies")
    if document["buckets"]:
        buckets = [
            f"{bucket['name']}/ ({bucket['n']} copies, {bucket['conflict']})"
            for bucket in document["buckets"]
        ]
        notes.append(f"buckets: {', '.join(buckets)}")
    if "key" in document:
        lists = [", ".join(names) for names in document["key"]["replicas"]]
        notes.append(f"key {document['key']['key']!r} is kept by {'; and next by '.join(lists)}")
    return notes


# An operator's wishes --------------------------------------------------------------------------------


async def join(session: Session) -> int:
    newcomer = await session.store.at(session.args.address).status(session.args.timeout)
    return await _wish(session, "join", **_identity(newcomer, session.args.address))


async def leave(session: Session) -> int:
    return await _wish(session, "leave", node=session.args.name)


async def replace(session: Session) -> int:
    newcomer = await session.store.at(session.args.address).status(session.args.timeout)
    who = _identity(newcomer, session.args.address)
    by = who.pop("node")
    return await _wish(session, "replace", node=session.args.name, by=by, **who)


async def bucket(session: Session) -> int:
    args = session.args
    return await _wish(session, "bucket", bucket=args.name, n=str(args.n), conflict=args.conflict)


async def repair(session: Session) -> int:
    return await _on_each(session, "repair")


async def scrub(session: Session) -> int:
    return await _on_each(session, "scrub")


def _identity(status: dict[str, Any], address: Address) -> dict[str, str]:
    """How a node is named in a change of the layout."""
    return {"node": str(status["node"]), "birth": str(status["birth"]), "address": str(address)}


async def _wish(session: Session, action: str, **arguments: str) -> int:
    detail = await session.store.admin(action, session.args.timeout, **arguments)
    return session.output.answer({"done": True, "detail": detail}, f"{detail}\n" if detail else "")


async def _on_each(session: Session, action: str) -> int:
    """What each node does for itself; one after the other, so that the rest serve at their usual pace."""
    nodes = list(await _all_nodes(session)) if session.args.all else session.nodes
    results: list[dict[str, Any]] = []
    for address in nodes:
        try:
            detail = await session.store.at(address).admin(action, session.args.timeout)
        except StoreError as error:
            results.append({"address": str(address), "done": False, "error": str(error)})
        else:
            results.append({"address": str(address), "done": True, "detail": detail})
    text = "".join(
        [f"{one['address']}\t{one.get('detail') or one.get('error') or 'done'}\n" for one in results]
    )
    failed = not all(one["done"] for one in results)
    return session.output.answer(results, text, status=EXIT_NO if failed else 0)


# Arguments -------------------------------------------------------------------------------------------


def add_commands(commands: Subparsers[Parser], epilog: str) -> None:
    def one(name: str, run: Command, help: str, timeout_s: float = ADMIN_TIMEOUT_S) -> Parser:
        parser = command(commands, name, help, epilog)
        parser.set_defaults(run=run)
        add_cluster_options(parser, timeout_s)
        return parser

    looking = one("status", status, "what a node is, what it sees and what it has done", 5.0)
    looking.add_argument("--all", action="store_true", help="of all nodes of the cluster, a line each")
    circle = one("ring", ring, "who owns what, what moves, and what one more node would move", 5.0)
    circle.add_argument("--key", metavar="KEY", help="say also who keeps this key")
    for name, run, help in (
        ("repair", repair, "compare and mend now all that a node shares with others"),
        ("scrub", scrub, "read now all that a node keeps, and mend what is damaged"),
    ):
        one(name, run, help).add_argument(
            "--all", action="store_true", help="on all nodes, one after the other"
        )
    joining = one("join", join, "make a running node an owner, and wait until it is one")
    leaving = one("leave", leave, "have an owner hand over what it keeps, or do without one that is dead")
    replacing = one("replace", replace, "have a running node take the place of an owner, dead or alive")
    for parser in (leaving, replacing):
        parser.add_argument("name", metavar="NAME", type=parsed(parse_name), help="the owner")
    for parser in (joining, replacing):
        parser.add_argument("address", metavar="HOST:PORT", type=parsed(parse_address), help="the new node's")
    making = one("bucket", bucket, "make a bucket: the keys that begin with NAME/")
    making.add_argument("name", metavar="NAME", type=parsed(parse_name))
    making.add_argument(
        "--n", type=whole(1, REPLICATION_MAX), default=3, help="copies of each key (default 3)"
    )
    making.add_argument(
        "--conflict",
        choices=("lww", "siblings", "counter", "set", "map"),
        default="lww",
        help="how concurrent writes are settled (default lww: the last one wins)",
    )
