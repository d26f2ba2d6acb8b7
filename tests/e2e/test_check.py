"""`harness check`: files in, verdicts and exit codes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import harness

VALID_EDN = """[{:process 0 :type :invoke :f :write :value 1}
 {:process 0 :type :ok :f :write :value 1}
 {:process 1 :type :invoke :f :read :value nil}
 {:process 1 :type :ok :f :read :value 1}]
"""
STALE_LOG = """INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 0\t:invoke\t:write\t2
INFO  jepsen.util - 0\t:ok\t:write\t2
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\t1
"""
STALE_JSONL = """{"process":0,"f":"write","value":1,"type":"invoke"}
{"process":0,"f":"write","value":1,"type":"ok"}
{"process":1,"f":"read","type":"invoke"}
{"process":1,"f":"read","value":null,"type":"ok"}
"""


def test_each_format_is_told_by_its_content_and_the_worst_verdict_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(VALID_EDN)
    (tmp_path / "b").write_text(STALE_LOG)
    (tmp_path / "c").write_text(STALE_JSONL)
    done = harness(tmp_path, "check", "a", "b", "c", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = {line["file"]: line["status"] for line in map(json.loads, done.stdout.splitlines())}
    assert verdicts == {"a": "valid", "b": "invalid", "c": "invalid"}
    assert harness(tmp_path, "check", "a").returncode == 0


def test_a_file_that_is_refused_does_not_keep_the_others_from_being_judged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(VALID_EDN)
    (tmp_path / "b").write_text(STALE_LOG)
    (tmp_path / "empty").write_text("")
    done = harness(tmp_path, "check", "empty", "a", "gone", "b", "--json")
    assert done.returncode == 254
    verdicts = {line["file"]: line["status"] for line in map(json.loads, done.stdout.splitlines())}
    assert verdicts == {"a": "valid", "b": "invalid"}
    assert [line.split()[1].strip(",:") for line in done.stderr.splitlines()] == ["empty", "gone"]


def test_an_invalid_history_is_explained(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(STALE_LOG)
    done = harness(tmp_path, "check", "b")
    assert done.returncode == 1
    assert "process 1" in done.stdout
    assert "acknowledged" in done.stdout


def test_the_model_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(
        "".join(
            f"{{:process {p} :type {t} :f :acquire :value nil}}\n" for p in (0, 1) for t in (":invoke", ":ok")
        )
    )
    assert harness(tmp_path, "check", "lock", "--model", "mutex").returncode == 1


def test_a_semaphore_has_as_many_permits_as_one_says(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(
        "".join(
            f"{{:process {p} :type {t} :f :acquire :value nil}}\n" for p in (0, 1) for t in (":invoke", ":ok")
        )
    )
    assert harness(tmp_path, "check", "s", "--model", "semaphore:2").returncode == 0
    assert harness(tmp_path, "check", "s", "--model", "semaphore").returncode == 1


def test_what_a_failed_cas_tells_is_up_to_the_user(tmp_path: Path) -> None:
    events = [
        (":invoke", ":write 1"),
        (":ok", ":write 1"),
        (":invoke", ":cas [1 2]"),
        (":fail", ":cas [1 2]"),
    ]
    lines = [
        f"{{:process 0 :type {kind} :f {' :value '.join(what.split(' ', 1))}}}\n" for kind, what in events
    ]
    (tmp_path / "h").write_text("".join(lines))
    assert harness(tmp_path, "check", "h").returncode == 0
    assert harness(tmp_path, "check", "h", "--failed-cas", "observe").returncode == 1


def test_a_verdict_is_drawn_as_a_page_and_as_a_picture(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text(STALE_LOG)
    (tmp_path / "good").write_text(VALID_EDN)
    for file, code in (("bad", 1), ("good", 0)):
        done = harness(tmp_path, "check", file, "--html", f"{file}.html", "--svg", f"{file}.svg")
        assert done.returncode == code, done.stderr
        assert (tmp_path / f"{file}.html").read_text().startswith("<!DOCTYPE html>")
        assert (tmp_path / f"{file}.svg").read_text().startswith("<svg")
    refused = harness(tmp_path, "check", "bad", "good", "--html", "x.html")
    assert refused.returncode == 254
    assert "one history" in refused.stderr


def test_several_processes_judge_as_one_does(tmp_path: Path) -> None:
    for name, content in (("a", VALID_EDN), ("b", STALE_LOG), ("c", STALE_JSONL), ("d", "garbage")):
        (tmp_path / name).write_text(content)
    alone, together = (harness(tmp_path, "check", "a", "b", "c", "d", "--json", "--jobs", n) for n in "12")
    assert (alone.returncode, alone.stdout) == (together.returncode, together.stdout)
    assert alone.returncode == 254
    assert alone.stderr == together.stderr


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\x00\x01\x02" * 100, "line 1"),
        (b"", "no operation"),
        (b'{"process":0,"f":"read","type":"ok"}\n', "line 1"),
        (b'{"process":0,"f":"read","type":"invoke"}\n{"process":0,"f":"re', "line 2"),
        (b"[{:process 0 :type :invoke :f :read", "line 1"),
        (VALID_EDN.replace(":write", ":frob").encode(), "frob"),
    ],
)
def test_what_is_no_history_is_refused_by_file_and_line(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "broken").write_bytes(content)
    done = harness(tmp_path, "check", "broken")
    assert done.returncode == 254, done.stdout + done.stderr
    assert "broken" in done.stderr
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("checker", "f", "answer", "code"),
    [
        ("queue", "dequeue", '"type":"fail","error":["empty"]', 2),
        ("counter", "copies", '"type":"ok","value":[1]', 254),
        ("convergence", "copies", '"type":"ok","value":[1]', 254),
        ("copies", "copies", '"type":"ok"', 254),
        ("set", "read", '"type":"ok","value":{"a":1}', 254),
        ("set-full", "read", '"type":"ok","value":"x"', 254),
        ("unique-ids", "generate", '"type":"ok"', 254),
    ],
)
def test_odd_values_are_judged_or_refused_in_a_sentence(
    tmp_path: Path, checker: str, f: str, answer: str, code: int
) -> None:
    put = "".join(
        f'{{"process":0,"type":"{kind}","f":"{f}","value":1}}\n'
        for f in ("add", "enqueue")
        for kind in ("invoke", "ok")
    )
    asked = f'{{"process":1,"type":"invoke","f":"{f}"}}\n{{"process":1,"f":"{f}",{answer}}}\n'
    (tmp_path / "odd").write_text(put + asked)
    done = harness(tmp_path, "check", "--checker", checker, "odd")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (code == 254)


def test_another_checker_judges_by_its_own_measure(tmp_path: Path) -> None:
    stale = (
        (0, "invoke", "write", 1), (0, "ok", "write", 1), (0, "invoke", "write", 2), (0, "ok", "write", 2),
        (1, "invoke", "read", None), (1, "ok", "read", 1),
    )  # fmt: skip
    lines = [
        json.dumps({"index": i, "time": i, "process": process, "type": type_, "f": f, "value": value})
        for i, (process, type_, f, value) in enumerate(stale)
    ]
    (tmp_path / "h.jsonl").write_text("\n".join(lines) + "\n")
    assert harness(tmp_path, "check", "h.jsonl").returncode == 1
    assert harness(tmp_path, "check", "--checker", "sessions", "h.jsonl").returncode == 0
    told = harness(tmp_path, "check", "--checker", "ladder", "--json", "h.jsonl")
    assert '"strongest":"sequential"' in told.stdout, told.stdout + told.stderr
    both = harness(tmp_path, "check", "--checker", "ladder", "--model", "register", "h.jsonl")
    assert both.returncode == 254
    assert both.stderr.count("\n") == 1
