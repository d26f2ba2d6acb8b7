"""Each command of `kv` before nodes that answer as the test says: what is asked, printed, and returned."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from store.__main__ import main
from store.cli.views import Told, cluster_view
from store.core.messages import (
    Admin,
    Body,
    Bucket,
    Cas,
    ChangeElements,
    ChangeFields,
    Delete,
    Done,
    Failed,
    Found,
    FoundCopies,
    FoundCount,
    FoundElements,
    FoundFields,
    FoundMany,
    FoundSiblings,
    Get,
    Increment,
    Inspect,
    Layout,
    Member,
    MultiGet,
    Put,
    Report,
    Request,
    Response,
    Scan,
    Scanned,
)
from store.net.address import Address
from tests.support.fake_node import HANG_UP, FakeNode, in_a_thread, know_each_other, refusing

BUCKETS = (Bucket("carts", 3, "siblings"), Bucket("visits", 3, "counter"))
STATUS: dict[str, Any] = {
    "node": "n1",
    "epoch": 1,
    "birth": 77,
    "requests_open": 0,
    "requests_served": 1234,
    "requests_failed": 0,
    "disk_full": False,
    "members": {"n1": {"state": "alive"}, "n2": {"state": "dead"}},
    "hints": {"held": {"n2": 3}, "delivered": 0},
    "ranges_with_quorum": "128 of 192",
    "partitioned_since": None,
}


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Kv = Callable[..., Answer]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[FakeNode]]:
    """Three nodes of one cluster with buckets; they answer what a test says."""
    three = [FakeNode(name, refusing("unavailable")) for name in ("n1", "n2", "n3")]
    with in_a_thread(*three):
        yield three


@pytest.fixture
def kv(nodes: list[FakeNode], capsys: pytest.CaptureFixture[str]) -> Kv:
    layout = know_each_other(nodes)
    for node in nodes:
        node.asked.clear()
        node.answer = refusing("unavailable")
        node.layout = Layout(1, layout.owners, 3, layout.vnodes, layout.council, None, BUCKETS)

    def run(*arguments: str, answer: Response | Callable[[Request], Any] | None = None) -> Answer:
        """Ask the first node, which answers so."""
        if answer is not None:
            nodes[0].answer = answer if callable(answer) else lambda request: _numbered(answer, request.id)
        status = main([*arguments, "--node", str(nodes[0].address)])
        return Answer(status, *capsys.readouterr())

    return run


def _numbered(response: Response, number: int) -> Response:
    return type(response)(number, *[getattr(response, name) for name in response.__struct_fields__[1:]])


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["put", "k", "v"], Put("k", b"v", "linearizable")),
        (["put", "k", "v", "--level", "one", "--ttl", "5m"], Put("k", b"v", "one", 300_000)),
        (["put", "carts/c", "v", "--context", "c2Vlbg=="], Put("carts/c", b"v", "quorum", context=b"seen")),
        (["put", "other/c", "v"], Put("other/c", b"v", "linearizable")),
        (["cas", "k", "a", "b"], Cas("k", b"a", b"b", "linearizable")),
        (["cas", "k", "--absent", "b"], Cas("k", None, b"b", "linearizable")),
        (["delete", "k"], Delete("k", "linearizable")),
        (["delete", "carts/c", "--context", "c2Vlbg=="], Delete("carts/c", "quorum", b"seen")),
        (["incr", "visits/v"], Increment("visits/v", 1, "quorum")),
        (["incr", "visits/v", "-7"], Increment("visits/v", -7, "quorum")),
        (["add", "tags/t", "x", "y", "--level", "all"], ChangeElements("tags/t", (b"x", b"y"), (), "all")),
        (["remove", "t", "x", "--level", "one"], ChangeElements("t", (), (b"x",), "one")),
        (["set", "u", "a=1", "b=x=y", "--level", "one"], ChangeFields("u", {"a": b"1", "b": b"x=y"}, "one")),
        (["unset", "u", "a", "--level", "one"], ChangeFields("u", {"a": None}, "one")),
        (["leave", "n3"], Admin("leave", {"node": "n3"})),
        (["bucket", "b", "--n", "2", "--conflict", "set"],
         Admin("bucket", {"bucket": "b", "n": "2", "conflict": "set"})),
    ],
)  # fmt: skip
def test_each_change_is_one_request_and_silent(
    kv: Kv, nodes: list[FakeNode], words: list[str], asked: Body
) -> None:
    assert kv(*words, answer=Done(1)) == Answer(0, "", "")
    assert nodes[0].asked == [asked]
    said = kv(*words, "--json", answer=Done(1))
    assert (said.status, json.loads(said.out)["done"], said.err) == (0, True, "")


@pytest.mark.parametrize(
    ("found", "plain", "document"),
    [
        (Found(1, b"v\n"), "v\n", {"value": "v\n"}),
        (FoundCount(1, 5), "5\n", {"count": 5}),
        (FoundElements(1, (b"y", b"x")), "x\ny\n", {"elements": ["y", "x"]}),
        (FoundFields(1, {"f": b"1"}), "f\t1\n", {"fields": {"f": "1"}}),
        (FoundSiblings(1, (b"a",), b"seen"), "a", {"values": ["a"], "context": "c2Vlbg=="}),
        (
            FoundSiblings(1, (b"a", b"b"), b"seen"),
            "# 2 siblings; put one value with --context c2Vlbg==\na\nb\n",
            {"values": ["a", "b"], "context": "c2Vlbg=="},
        ),
    ],
)
def test_get_prints_what_there_is(kv: Kv, found: Response, plain: str, document: dict[str, Any]) -> None:
    assert kv("get", "k", answer=found) == Answer(0, plain, "")
    assert json.loads(kv("get", "k", "--json").out) == {"key": "k"} | document


def test_what_is_not_there_is_1(kv: Kv) -> None:
    assert kv("get", "k", answer=Found(1, None)) == Answer(1, "", "kv: 'k' has no value at linearizable\n")
    said = kv("get", "k", "--json")
    assert (said.status, json.loads(said.out)) == (1, {"key": "k", "value": None})


def test_get_of_several_keys_is_one_request(kv: Kv, nodes: list[FakeNode]) -> None:
    answer = FoundMany(1, (Found(0, b"v"), Found(0, None), Failed(0, "timeout", "late")))
    said = kv("get", "a", "b", "c", answer=answer)
    assert nodes[0].asked == [MultiGet(("a", "b", "c"), "linearizable")]
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[0] for line in lines] == ["a", "b", "c"]
    assert json.loads(lines[0][1]) == "v"
    assert json.loads(lines[1][1]) is None
    assert json.loads(lines[2][1])["code"] == "timeout"
    assert said.status == 1


def test_several_keys_are_each_read_at_the_level_of_their_bucket(kv: Kv, nodes: list[FakeNode]) -> None:
    def answer(request: Request) -> Response:
        assert isinstance(request.body, MultiGet)
        found = [Found(0, f"{key} at {request.body.level}".encode()) for key in request.body.keys]
        return FoundMany(request.id, tuple(found))

    said = kv("get", "a", "carts/c", "b", answer=answer)
    assert [json.loads(line.split("\t")[1]) for line in said.out.splitlines()] == [
        "a at linearizable",
        "carts/c at quorum",
        "b at linearizable",
    ]
    assert len(nodes[0].asked) == 2


def test_scan_goes_on_until_it_has_enough_and_tells_its_cost(kv: Kv, nodes: list[FakeNode]) -> None:
    pages = [
        Scanned(1, (("a", Found(0, b"1")), ("b", FoundCount(0, 2))), True, {"messages": 4}),
        Scanned(1, (("c", Found(0, b"3")),), False, {"messages": 3}),
    ]

    def answer(request: Request) -> Response:
        return _numbered(pages[len(nodes[0].asked) - 1], request.id)

    assert kv("scan", "", answer=answer) == Answer(0, 'a\t"1"\nb\t2\nc\t"3"\n', "")
    assert nodes[0].asked == [Scan("", "", 100, "linearizable"), Scan("", "b", 98, "linearizable")]
    nodes[0].asked.clear()
    document = json.loads(kv("scan", "--limit", "2", "--json").out)
    assert document == {
        "items": [{"key": "a", "value": "1"}, {"key": "b", "count": 2}],
        "more": True,
        "level": "linearizable",
        "cost": {"messages": 4},
    }


def test_inspect_shows_each_copy(kv: Kv, nodes: list[FakeNode]) -> None:
    answer = FoundCopies(1, {"n2": Found(0, b"old"), "n1": Found(0, b"new")})
    assert kv("inspect", "k", answer=answer).out == 'n1\t"new"\nn2\t"old"\n'
    assert nodes[0].asked == [Inspect("k")]


@pytest.mark.parametrize(
    ("code", "status", "definite"),
    [("mismatch", 1, True), ("timeout", 1, False), ("bad-request", 254, True)],
)
def test_a_refusal_is_a_sentence_or_a_document(kv: Kv, code: str, status: int, definite: bool) -> None:
    assert kv("put", "k", "v", answer=refusing(code)) == Answer(status, "", f"kv: {code}: as it is\n")
    said = kv("put", "k", "v", "--json")
    assert (said.status, said.err) == (status, "")
    assert json.loads(said.out) == {"error": f"{code}: as it is", "code": code, "definite": definite}


def test_a_connection_that_breaks_is_told_with_its_doubt(kv: Kv) -> None:
    said = kv("put", "k", "v", "--json", answer=lambda request: HANG_UP)
    document = json.loads(said.out)
    assert (said.status, document["code"], document["definite"]) == (1, "lost", False)


def test_the_next_node_is_asked_where_that_is_safe(
    kv: Kv, nodes: list[FakeNode], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes[1].answer = lambda request: Done(request.id)
    both = f"{nodes[0].address},{nodes[1].address}"
    assert main(["put", "k", "v", "--node", both]) == 0
    assert len(nodes[0].asked) == len(nodes[1].asked) == 1
    monkeypatch.setenv("KV_NODE", both)
    assert main(["put", "k", "v"]) == 0
    monkeypatch.setenv("KV_NODE", "nonsense")
    assert main(["put", "k", "v"]) == 254
    assert "'nonsense' is no address" in capsys.readouterr().err


def test_status_of_one_node_and_of_all(kv: Kv, nodes: list[FakeNode]) -> None:
    said = kv("status", answer=Report(1, STATUS))
    assert "requests_served     1234\n" in said.out
    assert "members n2          state dead\n" in said.out
    assert json.loads(kv("status", "--json").out) == STATUS
    nodes[1].answer = lambda request: Report(request.id, STATUS | {"node": "n2", "partitioned_since": 5})
    said = kv("status", "--all")
    assert said.status == 1
    heading, *rows = [line.split("\t") for line in said.out.splitlines()]
    assert heading[:3] == ["node", "address", "state"]
    assert rows[0][0:1] + rows[0][2:7] == ["n1", "serves", "1", "1 alive, 1 dead", "128 of 192", "3"]
    assert rows[1][2].startswith("misses others for ")
    assert rows[2][:3] == ["n3", str(nodes[2].address), "unavailable: as it is"]
    documents = json.loads(kv("status", "--all", "--json").out)
    assert [document.get("node") for document in documents] == ["n1", "n2", None]
    assert documents[2]["error"] == "unavailable: as it is"


def test_the_table_of_all_nodes_fits_into_80_columns() -> None:
    far = Address("192.168.100.100", 17000)
    told = [
        Told(far, STATUS | {"requests_served": 12_345_678, "partitioned_since": 5, "epoch": 120}, ""),
        Told(far, STATUS | {"serves": False, "standing": "forgotten", "why_not": "knows no layout yet"}, ""),
        Told(far, None, f"node at {far} cannot be reached: Connection refused", "n3"),
    ]
    screen = Console(width=80, file=io.StringIO())
    with screen.capture() as capture:
        screen.print(cluster_view(told))
    shown = capture.get()
    assert "\u2026" not in shown
    rows = [line.split() for line in shown.splitlines() if str(far) in line]
    assert rows[0] == ["n1", str(far), "cut", "off", "1", "of", "2", "66%", "3", "12.3M", "0"]
    assert rows[1][2] == "forgotten"
    assert rows[2] == ["n3", str(far), "silent"]
    assert shown.startswith("epoch 120 ")
    assert "n1 knows no layout yet, and is still at epoch 1\n" in shown
    assert "n3 cannot be reached: Connection refused" in shown


def test_ring_tells_shares_and_what_moves(kv: Kv, nodes: list[FakeNode]) -> None:
    document = json.loads(kv("ring", "--key", "k", "--json").out)
    assert document["moving"] is False
    assert [round(node["share"], 3) for node in document["nodes"].values()] == [0.333] * 3
    assert sorted(document["key"]["replicas"][0]) == ["n1", "n2", "n3"]
    assert 0.1 < document["one_more_node_would_move"] < 0.4
    assert nodes[0].layout is not None
    layout = nodes[0].layout
    nodes[0].layout = Layout(
        2, layout.owners, 3, layout.vnodes, layout.council, (*layout.owners, Member("n4", 9)), BUCKETS
    )
    document = json.loads(kv("ring", "--json").out)
    assert document["moving"] is True
    newcomer = document["nodes"]["n4"]
    assert (newcomer["address"], newcomer["share"]) == ("", 0.0)
    assert newcomer["next_share"] == pytest.approx(document["moves"])
    assert "# buckets: carts/ (3 copies, siblings), visits/ (3 copies, counter)" in kv("ring").out


def test_a_node_joins_under_the_name_and_birth_that_it_tells_itself(kv: Kv, nodes: list[FakeNode]) -> None:
    nodes[2].answer = lambda request: Report(request.id, STATUS | {"node": "n9", "birth": 88})
    address = str(nodes[2].address)
    said = kv("join", address, answer=Done(1, "n9 is an owner"))
    assert said == Answer(0, "n9 is an owner\n", "")
    assert nodes[0].asked == [Admin("join", {"node": "n9", "birth": "88", "address": address})]
    nodes[0].asked.clear()
    assert kv("replace", "n3", address).status == 0
    expected = {"node": "n3", "by": "n9", "birth": "88", "address": address}
    assert nodes[0].asked == [Admin("replace", expected)]


def test_repair_and_scrub_can_be_of_all_nodes_and_each_is_told(kv: Kv, nodes: list[FakeNode]) -> None:
    for node in nodes[:2]:
        node.answer = lambda request: Done(request.id, "nothing differed")
    said = kv("repair", "--all")
    assert said.status == 1
    assert [line.split("\t")[1] for line in said.out.splitlines()] == [
        "nothing differed",
        "nothing differed",
        "unavailable: as it is",
    ]
    assert nodes[1].asked == [Admin("repair", {})]
    assert kv("scrub").out == f"{nodes[0].address}\tnothing differed\n"


def test_bench_asks_what_it_was_told_to_and_tells_rates(kv: Kv, nodes: list[FakeNode]) -> None:
    for node in nodes:
        node.answer = lambda request: (
            Found(request.id, b"") if isinstance(request.body, Get) else Done(request.id)
        )
    words = ["bench", "--seconds", "2", "--clients", "4", "--mix", "put:1,get:3", "--level", "quorum"]
    document = json.loads(kv(*words, "--json").out)
    puts, gets = document["asked"]["put"], document["asked"]["get"]
    assert 1.5 < gets["per_second"] / puts["per_second"] < 6
    assert 0 < puts["p50_ms"] <= puts["p99_ms"] <= puts["max_ms"]
    assert puts["failed"] == {}
    table = kv(*words)
    assert table.out.splitlines()[0].split("\t")[:2] == ["asked", "ops/s"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["put", "k", "v", "--ttl", "5"], "'5' is no length of time; write 250ms, 30s, 5m, 2h or 7d"),
        (["put", "k", "v", "--ttl", "99999d"], "is longer than 3650 days"),
        (["put", "k", "v", "--context", "!"], "'!' is not base64"),
        (["incr", "k", "1.5"], "'1.5' is not a whole number"),
        (["set", "k", "novalue"], "'novalue' is not FIELD=VALUE"),
        (["scan", "--limit", "0"], "'0' is not a whole number from 1 to"),
        (["bench", "--mix", "put:x"], "'put:x' is no mix"),
        (["bench", "--mix", "put:0"], "'put:0' asks for nothing"),
        (["bucket", "b", "--conflict", "none"], "invalid choice: 'none'"),
        (["join", "here"], "'here' is no address"),
        (["get", "k", "--tls", "a", "--secret", "b"], "not allowed with argument"),
        (["cluster", "init", "d", "--bucket", "b:3"], "'b:3' is no bucket; write NAME:N:CONFLICT"),
        (["cluster"], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_arguments_are_one_sentence_and_254(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 254
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
