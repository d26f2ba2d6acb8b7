"""`kv cluster`: what it writes, and a real cluster that it runs, with each form of proof."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from store.__main__ import main
from store.client import StoreError, open_cluster
from store.config import load
from store.net.security import secret
from tests.support.nodes import ROOT, command


def init(directory: Path, *words: str) -> int:
    return main(["cluster", "init", str(directory), *words, "--port", str(_port())])


def _port() -> int:
    """Of several free ones in a row, with free ones 1000 above; below those that connections are given."""
    while True:
        first = random.randrange(12_000, 30_000, 10)
        try:
            for port in (*range(first, first + 5), *range(first + 1000, first + 1005)):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first


@contextmanager
def running(directory: Path) -> Iterator[dict[str, int]]:
    """`kv cluster run`, once all nodes serve: their process ids; ended by SIGINT, with nothing left of it."""
    words = command("cluster", "run", str(directory), "--json")
    pipe = subprocess.PIPE
    pids: dict[str, int] = {}
    with subprocess.Popen(words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            for path in sorted(directory.glob("*.toml")):
                event = json.loads(process.stdout.readline())
                assert event["event"] == "serves", path.with_suffix(".log").read_text()
                pids[event["node"]] = event["pid"]
            yield pids
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, ""), out
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `. DIR/env` would set, set."""
    said = subprocess.run(
        ["sh", "-c", '. "$0" && env', str(directory / "env")], capture_output=True, text=True, check=True
    )
    found = dict(line.split("=", 1) for line in said.stdout.splitlines() if line.startswith("KV_"))
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def test_what_is_written_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "my lab"
    words = ["--nodes", "4", "--replication", "2", "--http", "--secret", "--bucket", "carts:3:siblings"]
    assert init(lab, *words) == 0
    assert f"kv cluster run '{lab}'" in capsys.readouterr().out
    config = load(lab / "n2.toml")
    assert (config.name, config.cluster, config.replication) == ("n2", "demo", 2)
    assert config.nodes == ("n1", "n2", "n3", "n4")
    assert [(bucket.name, bucket.n, bucket.conflict) for bucket in config.buckets] == [
        ("carts", 3, "siblings")
    ]
    assert config.http is not None
    assert config.http.port == config.listen.port + 1000
    assert (lab / "secret").stat().st_mode & 0o077 == 0
    assert config.secret_file == lab / "secret"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--nodes", "2", "--replication", "3"], "--replication 3 needs as many nodes, and there are 2"),
        (["--bucket", "b:9:lww"], "--bucket b: 9 copies need as many nodes, and there are 3"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert init(tmp_path / "lab", *words) == 254
    assert capsys.readouterr().err == f"kv: {why}\n"
    assert not (tmp_path / "lab").exists()


def test_a_cluster_is_not_overwritten_and_an_empty_directory_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cluster", "run", str(tmp_path)]) == 254
    assert "has no node's configuration; 'kv cluster init' makes them" in capsys.readouterr().err
    assert init(tmp_path) == 0
    assert init(tmp_path) == 254
    assert (
        "has a cluster already (n1.toml, n2.toml, n3.toml); nothing is overwritten" in capsys.readouterr().err
    )


@pytest.mark.real
def test_a_cluster_with_buckets_and_http_from_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets = ["carts:3:siblings", "visits:3:counter", "tags:3:set", "users:3:map"]
    assert init(tmp_path, "--http", *(word for bucket in buckets for word in ("--bucket", bucket))) == 0

    def kv(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    with running(tmp_path):
        environment(tmp_path, monkeypatch)
        kv("put", "greeting", "hello")
        assert kv("get", "greeting") == "hello"
        kv("incr", "visits/today", "3")
        kv("incr", "visits/today", "-1")
        assert kv("get", "visits/today") == "2\n"
        kv("add", "tags/t", "x", "y", "z")
        kv("remove", "tags/t", "y")
        assert kv("get", "tags/t") == "x\nz\n"
        kv("set", "users/u", "name=ann", "age=3")
        kv("unset", "users/u", "age")
        assert kv("get", "users/u") == "name\tann\n"
        kv("put", "carts/c", "milk")
        kv("put", "carts/c", "bread")
        siblings = json.loads(kv("get", "carts/c", "--json"))
        assert sorted(siblings["values"]) == ["bread", "milk"]
        kv("put", "carts/c", "milk and bread", "--context", siblings["context"])
        assert kv("get", "carts/c") == "milk and bread"
        assert json.loads(kv("scan", "--level", "quorum", "--json"))["more"] is False
        scanned = [line.split("\t")[0] for line in kv("scan", "--level", "quorum").splitlines()]
        assert scanned == ["carts/c", "tags/t", "users/u", "visits/today"]
        assert len(kv("status", "--all").splitlines()) == 4
        _check_http(f"http://{load(tmp_path / 'n1.toml').http}")
        _check_the_manual()


def _check_the_manual() -> None:
    """Its program runs and prints what the text before it leads to expect."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/STORE.md").read_text(), re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == "somebody was faster"
    assert ran.stdout.splitlines()[1].startswith("2 frozenset(")
    assert "users/bob FoundFields" in ran.stdout


def _check_http(at: str) -> None:
    with urlopen(f"{at}/healthz") as reply:
        assert json.load(reply) == {"serves": True, "why": ""}
    with urlopen(Request(f"{at}/kv/by-http?level=quorum", b"\0value", method="PUT")) as reply:
        assert reply.status == 204
    with urlopen(f"{at}/kv/by-http?level=quorum") as reply:
        assert reply.read() == b"\0value"
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{at}/kv/nothing")
    assert caught.value.code == 404
    caught.value.close()
    with urlopen(f"{at}/metrics") as reply:
        families = {family.name: family for family in text_string_to_metric_families(reply.read().decode())}
    asked = {
        tuple(sample.labels.values()): sample.value for sample in families["stormcellar_requests"].samples
    }
    assert asked["quorum", "put", "ok"] >= 1
    assert {"stormcellar_request_seconds", "stormcellar_members", "stormcellar_epoch"} <= families.keys()


@pytest.mark.real
@pytest.mark.parametrize("proof", ["--tls", "--secret"])
def test_a_cluster_that_demands_proof_serves_those_who_have_it_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], proof: str
) -> None:
    assert init(tmp_path, proof, "--nodes", "2") == 0
    with running(tmp_path):
        variables = environment(tmp_path, monkeypatch)
        assert main(["put", "k", "v"]) == 0
        assert main(["get", "k", "--level", "linearizable"]) == 0
        for name in variables.keys() - {"KV_NODE", "KV_CLUSTER"}:
            monkeypatch.delenv(name)
        capsys.readouterr()
        assert main(["get", "k"]) == 1
        assert capsys.readouterr().err.count("\n") == 1


async def patient(ask: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
    """On a busy machine two nodes of three may both be late."""
    with trio.fail_after(20):
        while True:
            with suppress(StoreError):
                return await ask()


@pytest.mark.real
def test_a_program_goes_on_while_a_node_is_killed(tmp_path: Path) -> None:
    assert init(tmp_path, "--secret") == 0
    seeds = [str(load(tmp_path / f"{name}.toml").listen) for name in ("n1", "n2", "n3")]

    async def program() -> None:
        proof = secret(tmp_path / "secret")
        lost, doubtful = 0, list[bool]()
        async with open_cluster(seeds, "demo", security=proof) as store:
            for number in range(60):
                if number == 20:
                    os.kill(pids["n2"], signal.SIGKILL)
                try:
                    await store.put(f"k{number}", b"%d" % number)
                except StoreError as error:
                    lost += 1
                    doubtful.append(not error.definite)
            found = [await patient(partial(store.get, f"k{number}")) for number in range(60)]
        assert lost <= 1
        assert all(doubtful)
        assert sum(value is None for value in found) <= lost

    with running(tmp_path) as pids:
        trio.run(program)
