"""The commands that read and change keys."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from store.cli.arguments import (
    Parser,
    Subparsers,
    add_cluster_options,
    add_level,
    command,
    duration_ms,
    parsed,
    whole,
)
from store.cli.output import EXIT_NO
from store.cli.session import Command, Session
from store.client.errors import refusal
from store.client.jsonform import Json, context_json, context_of, read_json
from store.core.messages import (
    BATCH_MAX,
    TTL_MS_MAX,
    Failed,
    Found,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundSiblings,
    ReadResponse,
    Scanned,
)


async def get(session: Session) -> int:
    args, output = session.args, session.output
    if len(args.keys) > 1:
        return await _get_many(session)
    (key,) = args.keys
    level = await session.level(key)
    found = await session.store.read(key, level, args.timeout)
    missing = _is_absent(found)
    if missing and not output.json:
        return output.no(f"{key!r} has no value at {level}", "absent", True)
    document = {"key": key} | read_json(found)
    return output.answer(document, plain(found), status=EXIT_NO if missing else 0)


async def _get_many(session: Session) -> int:
    """Several keys, by one request for each level that suits some of them."""
    args, output = session.args, session.output
    at: dict[str, list[str]] = {}
    for key, level in (await session.levels(args.keys)).items():
        at.setdefault(level, []).append(key)
    answers: dict[str, ReadResponse] = {}
    for level, keys in at.items():
        answers |= await session.store.multi_get(keys, level, args.timeout)
    found = {key: answers[key] for key in args.keys}
    status = EXIT_NO if any(isinstance(response, Failed) for response in found.values()) else 0
    documents = [{"key": key} | read_json(response) for key, response in found.items()]
    return output.answer(documents, _lines(found.items()), _table(found.items()), status)


async def put(session: Session) -> int:
    args = session.args
    level = await session.level(args.key)
    value = os.fsencode(args.value)
    ttl_ms = args.ttl or 0
    await session.store.put(args.key, value, level, args.timeout, ttl_ms=ttl_ms, context=args.context)
    return _done(session)


async def cas(session: Session) -> int:
    args = session.args
    *expect, value = map(os.fsencode, args.values)
    level = await session.level(args.key)
    await session.store.cas(args.key, None if args.absent else expect[0], value, level, args.timeout)
    return _done(session)


async def delete(session: Session) -> int:
    args = session.args
    level = await session.level(args.key)
    await session.store.delete(args.key, level, args.timeout, context=args.context)
    return _done(session)


async def incr(session: Session) -> int:
    args = session.args
    await session.store.incr(args.key, args.by, await session.level(args.key), args.timeout)
    return _done(session)


async def add(session: Session) -> int:
    args = session.args
    elements = list(map(os.fsencode, args.elements))
    level = await session.level(args.key)
    await session.store.change_elements(args.key, elements, (), level, args.timeout)
    return _done(session)


async def remove(session: Session) -> int:
    args = session.args
    elements = list(map(os.fsencode, args.elements))
    level = await session.level(args.key)
    await session.store.change_elements(args.key, (), elements, level, args.timeout)
    return _done(session)


async def set_fields(session: Session) -> int:
    args = session.args
    fields = {name: os.fsencode(value) for name, value in args.fields}
    await session.store.change_fields(args.key, fields, await session.level(args.key), args.timeout)
    return _done(session)


async def unset_fields(session: Session) -> int:
    args = session.args
    fields = dict.fromkeys(args.fields)
    await session.store.change_fields(args.key, fields, await session.level(args.key), args.timeout)
    return _done(session)


async def scan(session: Session) -> int:
    args, output = session.args, session.output
    level = await session.level(args.prefix)
    items: list[tuple[str, ReadResponse]] = []
    cost: dict[str, int] = {}
    after, more = args.after, True
    while more and len(items) < args.limit:
        page = min(args.limit - len(items), BATCH_MAX)
        found: Scanned = await session.store.scan_page(args.prefix, after, page, level, args.timeout)
        items += found.items
        for name, amount in found.cost.items():
            cost[name] = cost.get(name, 0) + amount
        more = found.more and bool(found.items)
        after = items[-1][0] if items else after
    failed = any(isinstance(response, Failed) for _, response in items)
    documents = [{"key": key} | read_json(response) for key, response in items]
    document = {"items": documents, "more": more, "level": level, "cost": cost}
    figures = [f"{amount:,} {name.replace('_', ' ')}" for name, amount in cost.items()]
    note = f"at {level}: {', '.join(figures)}"
    if more:
        note += f"; there are more after {after!r}"
    view = Group(_table(items), Text(note, style="dim"))
    return output.answer(document, _lines(items), view, EXIT_NO if failed else 0)


async def inspect(session: Session) -> int:
    args = session.args
    copies = await session.store.inspect(args.key, args.timeout)
    items = sorted(copies.items())
    view = _table(items, "replica")
    return session.output.answer({name: read_json(copy) for name, copy in items}, _lines(items), view)


def _done(session: Session) -> int:
    return session.output.answer({"done": True}) if session.output.json else 0


def _is_absent(found: ReadResponse) -> bool:
    match found:
        case Found(_, value):
            return value is None
        case FoundSiblings(_, values, _):
            return not values
    return False


def plain(found: ReadResponse) -> bytes:
    """For a pipe: a value as it is; of several, a line each."""
    match found:
        case Found(_, value):
            return value or b""
        case FoundSiblings(_, values, context):
            if len(values) == 1:
                return values[0]
            note = f"# {len(values)} siblings; put one value with --context {context_json(context)}\n"
            return note.encode() + b"".join([value + b"\n" for value in values])
        case FoundCount(_, count):
            return b"%d\n" % count
        case FoundElements(_, elements):
            return b"".join([element + b"\n" for element in sorted(elements)])
        case FoundFields(_, fields):
            return b"".join([name.encode() + b"\t" + value + b"\n" for name, value in sorted(fields.items())])
        case Failed():
            return str(refusal(found)).encode()


def _lines(items: Iterable[tuple[str, ReadResponse]]) -> bytes:
    """For a pipe: key, tab, what it holds as JSON, which has neither tabs nor line ends in it."""
    return b"".join(
        [key.encode() + b"\t" + msgspec.json.encode(_held(found)) + b"\n" for key, found in items]
    )


def _table(items: Iterable[tuple[str, ReadResponse]], heading: str = "key") -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column(heading, no_wrap=True)
    table.add_column("holds", overflow="ellipsis", no_wrap=True)
    for key, found in items:
        table.add_row(Text(key), Text(_shown(found), style="red" if isinstance(found, Failed) else ""))
    return table


def _held(found: ReadResponse) -> Json:
    """The value, the count, the elements ... alone."""
    match read_json(found):
        case {"error": _} as failure:
            return failure
        case {"values": values}:
            return {"siblings": values}
        case document:
            return next(iter(document.values()))


def _shown(found: ReadResponse) -> str:
    held = _held(found)
    if held is None:
        return "(nothing)"
    return held if isinstance(held, str) else msgspec.json.encode(held).decode()


# Arguments -------------------------------------------------------------------------------------------


def add_commands(commands: Subparsers[Parser], epilog: str) -> None:
    def one(name: str, run: Command, help: str, key: str = "key", at_level: bool = True) -> Parser:
        parser = command(commands, name, help, epilog)
        parser.set_defaults(run=run)
        if key:
            parser.add_argument(key, metavar=key.upper())
        if at_level:
            add_level(parser)
        add_cluster_options(parser)
        return parser

    reading = one("get", get, "print a key's value; of several keys, a line each", "")
    reading.add_argument("keys", metavar="KEY", nargs="+")
    putting = one("put", put, "set a key")
    putting.add_argument("value", metavar="VALUE")
    putting.add_argument(
        "--ttl", metavar="TIME", type=_ttl, help="after this it is gone: 250ms, 30s, 5m, 2h, 7d"
    )
    _context(putting)
    changed = one("cas", cas, "set a key if it holds what is expected")
    changed.add_argument(
        "values", metavar="EXPECT VALUE", nargs="+", help="what it must hold, and shall hold"
    )
    changed.add_argument("--absent", action="store_true", help="it must hold nothing; EXPECT is left out")
    _context(one("delete", delete, "remove a key"))
    counting = one("incr", incr, "add to a counter")
    counting.add_argument(
        "by", metavar="BY", nargs="?", type=whole(-(1 << 62), 1 << 62), default=1, help="(default 1)"
    )
    one("add", add, "add elements to a set").add_argument("elements", metavar="ELEMENT", nargs="+")
    one("remove", remove, "remove elements from a set").add_argument("elements", metavar="ELEMENT", nargs="+")
    setting = one("set", set_fields, "set fields of a map")
    setting.add_argument("fields", metavar="FIELD=VALUE", nargs="+", type=_field)
    one("unset", unset_fields, "remove fields of a map").add_argument("fields", metavar="FIELD", nargs="+")
    one("inspect", inspect, "show each replica's own copy of a key", at_level=False)
    scanning = one("scan", scan, "list the keys that begin with a prefix, and what they hold", "")
    scanning.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="(default: all keys)")
    scanning.add_argument("--after", metavar="KEY", default="", help="begin after this key")
    scanning.add_argument(
        "--limit",
        metavar="N",
        type=whole(1, 1_000_000),
        default=100,
        help="at most so many keys (default 100)",
    )


def _context(parser: Parser) -> None:
    parser.add_argument(
        "--context",
        metavar="BASE64",
        type=parsed(context_of),
        default=b"",
        help="of the read whose siblings this replaces ('kv get' prints it)",
    )


def _ttl(text: str) -> int:
    found = duration_ms(text)
    if found > TTL_MS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than {TTL_MS_MAX // 86_400_000} days")
    return found


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return name, value
