"""`harness serve`: what it shows, and what it does not let anybody see."""

from __future__ import annotations

import html
import os
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import time

import pytest

from harness import cli
from harness.plan import Plan
from harness.serve import pages, paths
from harness.serve.server import Server
from tests.harness.test_compare import recorded, two
from tests.support.command import environment
from tests.support.sample_run import WRONG_HISTORY, valid_verdict

FIRST, SECOND = "20260101T000000.000Z", "20260102T000000.000Z"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs, with some of what should not get out."""
    root = tmp_path / "runs"
    (tmp_path / "secret").write_text("nobody may read this")
    first = recorded(root / "register" / FIRST, Plan(seed=1), WRONG_HISTORY, valid_verdict()).path
    recorded(root / "register" / SECOND, Plan(seed=2, level="one"), WRONG_HISTORY, None)
    (first / "nodes").mkdir()
    (first / "nodes" / "n1.log").write_text("started <b>")
    (first / "report.html").write_text("<!DOCTYPE html><p>the report")
    (first / "nodes" / "link").symlink_to(tmp_path / "secret")
    (first / "up").symlink_to(tmp_path, target_is_directory=True)
    (root / "latest").symlink_to("register/" + SECOND)
    outside = recorded(tmp_path / "elsewhere" / "run", Plan(seed=3), WRONG_HISTORY, None)
    (root / "register" / "linked").symlink_to(outside.path, target_is_directory=True)
    (root / "sideways").symlink_to(outside.path.parent, target_is_directory=True)
    os.mkfifo(first / "pipe")
    return root


@contextmanager
def serving(root: Path) -> Iterator[int]:
    with Server(root, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def ask(root: Path, path: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, str]:
    with serving(root) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        connection.endheaders()
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
    return response, text


def test_the_list_has_every_run_the_newest_first_and_none_by_a_link(root: Path) -> None:
    response, text = ask(root, "/")
    assert response.status == 200
    assert re.findall(r'<a href="(/runs/[^"]*)"', text) == [
        f"/runs/register/{SECOND}/",
        f"/runs/register/{FIRST}/",
    ]
    assert "goes on" in text
    then = time() - 60
    os.utime(root / "register" / SECOND / "history.jsonl", (then, then))
    assert "not judged" in ask(root, "/")[1]
    assert 'class="status valid"' in text


def test_a_run_that_was_stopped_early_says_so(root: Path) -> None:
    run = paths.run_dir(root, ["register", FIRST])
    assert run is not None
    results = run.results.read_text()
    assert "stopped" not in ask(root, "/")[1]
    run.results.write_text(results.replace('"interrupted_s": null', '"interrupted_s": 5.64'))
    for page in ("/", f"/runs/register/{FIRST}/"):
        assert '<b class="status valid">valid</b>, stopped at 5.6 s' in ask(root, page)[1]


def test_one_node_is_not_several(root: Path) -> None:
    recorded(root / "register" / "one", Plan(nodes=("n1",), replication=1), WRONG_HISTORY, None)
    assert "sim, 1 node<" in ask(root, "/")[1]


def listed(root: Path, query: str = "") -> list[str]:
    """The names of the runs on the list's page, in their order."""
    response, text = ask(root, f"/{query}")
    assert response.status == 200
    return re.findall(r'<a href="/runs/([^"]*)/"', text)


def test_a_part_of_a_demo_is_listed_shown_and_compared_like_any_run(root: Path) -> None:
    plan = Plan(workload="cart", level="one", demo="cap/one-lww", seed=7)
    name = f"demo-cap/one-lww/{FIRST}"
    run = recorded(root / name, plan, WRONG_HISTORY, valid_verdict())
    (run.path / "nodes").mkdir()
    (run.path / "nodes" / "n1.log").write_text("started")
    assert name in listed(root)
    text = ask(root, f"/runs/{name}/")[1]
    assert "harness demo cap --seed 7" in text
    assert f'"/runs/{name}/nodes/n1.log"' in text
    assert ask(root, f"/runs/{name}/nodes/n1.log")[1] == "started"
    text = ask(root, f"/compare?a={name}&b=register%2F{FIRST}")[1]
    assert "demo: &#x27;cap/one-lww&#x27; in A, &#x27;&#x27; in B" in text


def test_a_plan_within_a_run_is_no_run_of_its_own(root: Path) -> None:
    (root / "register" / FIRST / "nodes" / "plan.json").write_text("{}")
    assert listed(root) == [f"register/{SECOND}", f"register/{FIRST}"]
    recorded(root / "a" / "b" / "c" / "too-deep", Plan(), WRONG_HISTORY, None)
    assert len(listed(root)) == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("valid", [FIRST]),
        ("REGISTER", [SECOND, FIRST]),
        ("linearizable partition", [FIRST]),
        ("register one", [SECOND]),
        ("20260102", [SECOND]),
        ("valid one", []),
        ("alid", []),
        ("%22%3E", [SECOND, FIRST]),
    ],
)
def test_only_those_are_listed_of_which_all_words_are_told(root: Path, words: str, found: list[str]) -> None:
    assert listed(root, f"?q={words.replace(' ', '+')}") == [f"register/{time}" for time in found]


def test_what_was_asked_for_is_told_back_escaped(root: Path) -> None:
    text = ask(root, "/?q=%22%3E%3Cb%3Enothing")[1]
    assert "<b>nothing" not in text
    assert 'value="&quot;&gt;&lt;b&gt;nothing"' in text
    assert "0 of 2 runs" in text


def test_more_runs_than_fit_are_turned_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        recorded(root / "kv" / f"2025010{number}", Plan(seed=number), WRONG_HISTORY, None)
    monkeypatch.setattr(pages, "RUNS_MAX", 2)
    names = listed(root)
    text = ask(root, "/")[1]
    assert "From 1 to 2" in text
    seen = [*names]
    while older := re.search(r'<a href="/([^"]*)">Older', text):
        query = html.unescape(older[1])
        text = ask(root, f"/{query}")[1]
        seen += listed(root, query)
    assert "From 5 to 5" in text
    assert '<a href="/?q=&amp;from=2">Newer' in text
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, key=lambda name: name.split("/")[::-1], reverse=True)


@pytest.mark.parametrize("place", ["-1", "x", "9999999999999", "%D9%A3", ""])
def test_a_place_in_the_list_that_makes_no_sense_is_its_beginning(root: Path, place: str) -> None:
    assert len(listed(root, f"?from={place}")) == 2


def test_a_place_after_the_end_is_the_last_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(listed(root, "?from=700")) == 2
    monkeypatch.setattr(pages, "RUNS_MAX", 1)
    assert listed(root, "?from=700") == [f"register/{FIRST}"]


def test_one_run_alone_is_offered_nothing_to_compare_it_with(root: Path) -> None:
    assert "Compare" not in ask(root, "/?q=valid")[1]
    assert "Compare" in ask(root, "/")[1]


def test_a_run_that_was_not_judged_says_how_that_is_done(root: Path) -> None:
    text = ask(root, f"/runs/register/{SECOND}/")[1]
    assert f"harness analyze {root}/register/{SECOND}" in text
    assert "harness run --level one --seed 2" in text
    assert "harness analyze" not in ask(root, f"/runs/register/{FIRST}/")[1]


def test_a_run_shows_its_files_and_its_report(root: Path) -> None:
    _, text = ask(root, f"/runs/register/{FIRST}/")
    linked = re.findall(r'<a href="([^"]*)"', text)
    assert f"/runs/register/{FIRST}/report.html" in linked
    assert f"/runs/register/{FIRST}/nodes/n1.log" in linked
    assert not any("link" in place or "pipe" in place or "/up" in place for place in linked)


def test_a_file_is_text_and_a_report_is_a_page_without_a_way_out(root: Path) -> None:
    response, text = ask(root, f"/runs/register/{FIRST}/nodes/n1.log")
    assert (response.status, text) == (200, "started <b>")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response, text = ask(root, f"/runs/register/{FIRST}/report.html")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert "sandbox allow-scripts" in policy
    assert "default-src 'none'" in policy
    assert "the report" in text


@pytest.mark.parametrize(
    "path",
    [
        f"/runs/register/{FIRST}/../../../secret",
        f"/runs/register/{FIRST}/%2e%2e/%2e%2e/%2e%2e/secret",
        f"/runs/register/{FIRST}/..%2f..%2f..%2fsecret",
        f"/runs/register/{FIRST}/nodes/link",
        f"/runs/register/{FIRST}/up/secret",
        f"/runs/register/{FIRST}/pipe",
        f"/runs/register/{FIRST}//secret",
        f"/runs/register/{FIRST}/nodes",
        f"/runs/register/{FIRST}/plan.json%00",
        "/runs/register/linked/",
        "/runs/register/linked/plan.json",
        "/runs/sideways/run/plan.json",
        "/runs/../elsewhere/run/plan.json",
        "/runs/%2e%2e/elsewhere%2frun/plan.json",
        "/runs/register/nothing/",
        "/runs/register/",
        "/runs/",
        f"/runs/register/../register/{FIRST}/",
        f"/runs/%2e/register/{FIRST}/",
        f"/compare?a=.%2Fregister%2F{FIRST}&b=register%2F{FIRST}",
        "/compare?a=../elsewhere/run&b=register/" + FIRST,
        "/compare",
        "/secret",
        "//secret",
        "/runs/register/" + "x" * 5000 + "/",
    ],
)
def test_nothing_is_read_but_the_files_of_the_runs(root: Path, path: str) -> None:
    response, text = ask(root, path)
    assert response.status == 404
    assert "nobody may read this" not in text
    assert "seed" not in text


def test_a_run_whose_history_is_a_link_is_none(root: Path, tmp_path: Path) -> None:
    run = recorded(root / "kv" / FIRST, Plan(), WRONG_HISTORY, None)
    assert ("kv", FIRST) in paths.runs(root)
    run.history.unlink()
    run.history.symlink_to(tmp_path / "secret")
    assert ("kv", FIRST) not in paths.runs(root)


def test_a_record_that_would_never_end_is_not_read(root: Path) -> None:
    run = recorded(root / "kv" / FIRST, Plan(), WRONG_HISTORY, None)
    run.history.unlink()
    os.mkfifo(run.history)
    assert ask(root, f"/compare?a=kv%2F{FIRST}&b=register%2F{FIRST}")[0].status == 404


def test_names_that_are_no_text_are_listed_and_lead_to_what_they_name(root: Path) -> None:
    odd = os.fsdecode(b"run\xff&")
    run = recorded(root / "kv" / odd, Plan(), WRONG_HISTORY, None)
    (run.path / os.fsdecode(b"a\xfe")).write_text("odd")
    response, text = ask(root, "/")
    assert response.status == 200
    assert '"/runs/kv/run%FF%26/"' in text
    assert r"run\udcff&amp;" in text
    assert 'value="kv/run%FF%26"' in text
    assert "/runs/kv/run%FF%26/a%FE" in ask(root, "/runs/kv/run%FF%26/")[1]
    assert ask(root, "/runs/kv/run%FF%26/a%FE")[1] == "odd"
    assert ask(root, f"/compare?a=kv%2Frun%25FF%2526&b=register%2F{FIRST}")[0].status == 200


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("plan.json", b'{"x":'),
        ("plan.json", b"\xff"),
        ("results.json", b""),
        ("results.json", b'{"status": 3}'),
        ("results.json", b'{"status":"valid","summary":"","verdict":{"parts":[3]}}'),
        ("results.json", b'{"status":"valid","summary":"","x":' + b"[" * 100_000),
        ("history.jsonl", b'{"index":0}'),
        ("history.jsonl", b"\xff\n\xff\n"),
        ("history.jsonl", None),
    ],
)
def test_a_run_that_is_broken_keeps_nobody_from_the_others(
    root: Path, file: str, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = root / "register" / FIRST / file
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)
    assert SECOND in ask(root, "/")[1]
    assert ask(root, f"/runs/register/{FIRST}/")[0].status == 200
    assert ask(root, f"/compare?a=register%2F{FIRST}&b=register%2F{SECOND}")[0].status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_whose_results_make_no_sense_is_not_told_as_one_that_was_not_judged(root: Path) -> None:
    (root / "register" / FIRST / "results.json").write_text("{")
    assert "its results cannot be read" in ask(root, "/")[1]
    assert "its results cannot be read" in ask(root, f"/runs/register/{FIRST}/")[1]


def test_a_run_with_very_many_files_says_that_not_all_are_listed(root: Path) -> None:
    place = f"/runs/register/{FIRST}/"
    assert "are listed" not in ask(root, place)[1]
    for number in range(paths.FILES_MAX):
        (root / "register" / FIRST / "nodes" / str(number)).touch()
    text = ask(root, place)[1]
    assert f"Only {paths.FILES_MAX} of its files are listed" in text
    assert f"{place}report.html" in text


def test_two_runs_are_shown_side_by_side(root: Path) -> None:
    response, text = ask(root, f"/compare?a=register%2F{FIRST}&b=register%2F{SECOND}")
    assert response.status == 200
    assert "level: &#x27;linearizable&#x27; in A, &#x27;one&#x27; in B" in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "[::1"])
def test_a_page_from_elsewhere_cannot_reach_it_by_its_own_name(root: Path, host: str) -> None:
    response, text = ask(root, "/", host=host or " ")
    assert response.status == 421
    assert FIRST not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "192.0.2.1"])
def test_who_asks_by_an_address_is_answered(root: Path, host: str) -> None:
    assert ask(root, "/", host=host)[0].status == 200


def test_it_only_reads(root: Path) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(root, "/", method)[0].status == 501
    response, text = ask(root, f"/runs/register/{FIRST}/plan.json", "HEAD")
    assert (response.status, text) == (200, "")
    assert int(response.headers["Content-Length"]) > 100


@pytest.mark.parametrize("path", ["/", f"/runs/register/{FIRST}/plan.json", "/nothing"])
def test_after_a_head_the_connection_is_at_the_next_answer(root: Path, path: str) -> None:
    with serving(root) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        asked = f"{{}} {path} HTTP/1.1\r\nHost: localhost\r\n{{}}\r\n"
        connection.sendall((asked.format("HEAD", "") + asked.format("GET", "Connection: close\r\n")).encode())
        with connection.makefile("rb") as answers:
            head, then = answers.read().split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 ")
    assert then.startswith(b"HTTP/1.1 ")


def test_names_from_a_run_are_escaped(root: Path) -> None:
    run = recorded(root / "register" / "<b>hi", Plan(level="<i>"), WRONG_HISTORY, None)
    (run.path / "<script>.log").write_text("x")
    assert "<b>hi" not in ask(root, "/")[1]
    _, text = ask(root, "/runs/register/%3Cb%3Ehi/")
    assert "<script>" not in text
    assert ask(root, "/runs/register/%3Cb%3Ehi/%3Cscript%3E.log")[1] == "x"


def test_a_page_of_ours_lets_no_script_run(root: Path) -> None:
    policy = ask(root, "/")[0].headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_a_large_file_is_sent_in_pieces(root: Path) -> None:
    large = root / "register" / FIRST / "nodes" / "large.log"
    with large.open("wb") as file:
        file.truncate(300_000_000)
    tracemalloc.start()
    with serving(root) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", f"/runs/register/{FIRST}/nodes/large.log")
        response, left = connection.getresponse(), 300_000_000
        while piece := response.read(1 << 20):
            left -= len(piece)
        connection.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert left == 0
    assert peak < 20_000_000


def test_an_address_that_makes_no_sense_is_refused(root: Path) -> None:
    assert ask(root, "//[/")[0].status in (400, 404)


def test_a_directory_without_runs_says_how_to_make_one(tmp_path: Path) -> None:
    assert "harness run" in ask(tmp_path, "/")[1]


def test_the_command_says_where_it_serves_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    two(tmp_path / "runs" / "kv")
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "serve", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            assert found is not None
            connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
            connection.request("GET", "/")
            assert "2 runs" in connection.getresponse().read().decode()
            connection.close()
            process.send_signal(2)
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "99999"), "--port is 99999; allowed: a whole number from 0 to 65535"),
        (("--runs", "nowhere"), "nowhere is not a directory"),
        (("--host", "192.0.2.1", "--port", "0"), "192.0.2.1, port 0 cannot be listened on"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused(tmp_path, words, said, monkeypatch, capsys)


def test_a_port_that_is_taken_is_told_of_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"127.0.0.1, port {port} cannot be listened on: Address already in use; --port 0"
        refused(tmp_path, ("--port", str(port)), said, monkeypatch, capsys)


def refused(
    folder: Path,
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "runs").mkdir()
    monkeypatch.chdir(folder)
    assert cli.main(["serve", *words]) == 254
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert "Traceback" not in told.err
