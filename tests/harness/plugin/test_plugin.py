"""`pytest --chaos`, in a pytest of its own: what is skipped, what is refused, what is kept, and the example
of docs/pytest.md as it stands."""

import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.command import eventually

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs/pytest.md").read_text()
OURS = ("-p", "no:chaos", "-p", "harness.pytest_plugin", "-p", "no:cacheprovider")
"""The plugin by its module, whether or not this environment has it as an entry point."""

pytest_plugins = ["pytester"]


def example(name: str) -> str:
    """The block of the guide that is this file."""
    (text,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", GUIDE, re.DOTALL)
    return text


def lossy() -> str:
    """The service of the guide, without the lines that the guide says to take out."""
    text = example("kv.py")
    for line in (f"{12 * ' '}log.flush()\n", f"{12 * ' '}os.fsync(log.fileno())\n"):
        assert line in text
        text = text.replace(line, "")
    return text


def running(pattern: str) -> str:
    """The processes whose command line has `pattern`."""
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout


def test_without_chaos_its_tests_are_skipped_with_a_reason_and_no_others(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a(chaos_run): 1 / 0\ndef test_b(chaos_cluster): 1 / 0\ndef test_c(): pass")
    result = pytester.runpytest_subprocess(*OURS, "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*it breaks its service, and runs with --chaos only*"])


def test_who_does_not_use_it_loads_nothing_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n"
        "def test_a():\n"
        "    roots = ('harness', 'store', 'trio', 'rich')\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] in roots}\n"
        "    assert ours == {'harness', 'harness.pytest_plugin'}"
    )
    pytester.runpytest_subprocess(*OURS).assert_outcomes(passed=1)


def test_the_entry_point_is_the_plugin() -> None:
    assert (
        '[project.entry-points.pytest11]\nchaos = "harness.pytest_plugin"\n'
        in (ROOT / "pyproject.toml").read_text()
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("chaos_cluster(['x', '{prot}'])", "chaos_cluster: '{prot}' has {prot}; there are *{port}*"),
        ("chaos_cluster([])", "chaos_cluster: argv is empty*"),
        ("chaos_cluster(['x'], nodes=0)", "chaos_cluster: nodes is 0; allowed: 1 to 99"),
        ("chaos_run(cluster, {'read': print})", "chaos_run: it needs a model or checkers*"),
        ("chaos_run(cluster, {'read': print}, model='regster')", "chaos_run: there is no model 'regster'*"),
        (
            "chaos_run(cluster, {'red': print}, model='register')",
            "chaos_run: register has no operation 'red'*",
        ),
        (
            "chaos_run(cluster, BOTH, model='register', faults=['clock'])",
            "chaos_run: faults: cluster service cannot make clock; it can make partition, pause, kill",
        ),
        (
            "chaos_run(cluster, BOTH, model='register', rate=0)",
            "chaos_run: rate is 0; allowed: *",
        ),
        ("chaos_cluster('x {port}')", "chaos_cluster: argv is 'x {port}'; it is a list of words: *"),
        (
            "chaos_run(['x'], BOTH, model='register')",
            "chaos_run: cluster is *x*; it is what chaos_cluster gave",
        ),
        ("chaos_run(cluster, BOTH, model=dict)", "chaos_run: model is *dict*; it is the name of a model *"),
        (
            "chaos_run(cluster, BOTH, model='register', rate='1')",
            "chaos_run: Expected `float`, got `str`*rate`",
        ),
        (
            "chaos_run(cluster, BOTH, model='register', faults='kill')",
            "chaos_run: Expected `array`, *faults`",
        ),
        (
            "chaos_run(cluster, {'write': print}, model='register')",
            "chaos_run: nothing would be shown: write *",
        ),
        (
            "in_thread(lambda: chaos_run(cluster, BOTH, model='register'))",
            "chaos_run: it has to be called in the main thread, where ctrl-C arrives",
        ),
        (
            "in_trio(lambda: chaos_run(cluster, BOTH, model='register'))",
            "chaos_run: it runs a trio loop of its own, so it cannot be called from within one",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_nothing_is_started(
    pytester: pytest.Pytester, call: str, sentence: str
) -> None:
    pytester.makepyfile(
        "import trio\n"
        "BOTH = {'read': print, 'write': print}\n"
        "def in_thread(call): trio.run(trio.to_thread.run_sync, call)\n"
        "def in_trio(call):\n"
        "    async def main(): call()\n"
        "    trio.run(main)\n"
        f"def test_a(chaos_cluster, chaos_run):\n    cluster = chaos_cluster(['false'])\n    {call}"
    )
    result = pytester.runpytest_inprocess(*OURS, "--chaos")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([sentence])
    assert not (pytester.path / "runs").exists()


@pytest.mark.real
def test_a_service_that_does_not_start_is_told_with_its_last_words_and_what_was_recorded_is_kept(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        "import sys\n"
        "def test_a(chaos_cluster, chaos_run):\n"
        "    cluster = chaos_cluster([sys.executable, '-c', 'raise SystemExit(\"no license\")'], nodes=2)\n"
        "    run = chaos_run(cluster, {'read': print, 'write': print}, model='register', time_limit_s=1)\n"
        "    assert run.status == 'failed'\n"
        "    assert run.valid"
    )
    result = pytester.runpytest_subprocess(*OURS, "--chaos", "--chaos-seed", "7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*where False = <chaos run: failed: n? ended by itself (exit status 1): no license*",
            "*- chaos run: failed -*",
            "failed   n? ended by itself (exit status 1): no license",
            "pytest --chaos --chaos-seed 7 *::test_a",
        ]
    )
    (kept,) = (pytester.path / "runs/pytest/test-a").iterdir()
    left = {each.name for each in kept.iterdir()}
    assert {"history.jsonl", "plan.json", "results.json", "faults.json", "report.html"} <= left


@pytest.mark.real
def test_the_service_of_the_guide_has_in_its_log_last_what_it_has_in_memory(tmp_path: Path) -> None:
    """However its writers overlap; or else what was read before a kill would be another value after it."""
    (tmp_path / "kv.py").write_text(example("kv.py"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    def put(value: int) -> None:
        urlopen(Request(f"http://127.0.0.1:{port}/k", b"%d" % value, method="PUT"), timeout=20).close()

    def is_there() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    with subprocess.Popen(
        [sys.executable, "kv.py", str(port), "log"], cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as service:
        try:
            eventually(is_there)
            with ThreadPoolExecutor(8) as writers:
                for first in range(0, 160, 8):
                    list(writers.map(put, range(first, first + 8)))
                    logged = (tmp_path / "log").read_text().splitlines()[-1]
                    with urlopen(f"http://127.0.0.1:{port}/k", timeout=20) as answer:
                        assert json.loads(logged) == ["/k", json.load(answer)]
        finally:
            service.kill()


@pytest.mark.real
def test_the_service_of_the_guide_is_acquitted_and_without_its_two_lines_it_is_convicted(
    pytester: pytest.Pytester,
) -> None:
    test = example("test_kv.py")
    pytester.path.joinpath("kv.py").write_text(example("kv.py"))
    pytester.path.joinpath("lossy.py").write_text(lossy())
    pytester.path.joinpath("test_kv.py").write_text(test)
    pytester.path.joinpath("test_lossy.py").write_text(test.replace("kv.py", "lossy.py"))
    result = pytester.runpytest_subprocess(*OURS, "--chaos", "--chaos-seed", "3", "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["test_kv.py::* PASSED*", "test_lossy.py::* FAILED*", "*the change was lost*"]
    )
    kept = list((pytester.path / "runs/pytest").rglob("report.html"))
    assert len(kept) == 1
    assert "What contradicts itself" in kept[0].read_text()
    assert running(str(kept[0].parent)) == ""


FORWARDER = '''
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

name, port, leader, way = sys.argv[1:]
values = {}


class Handler(BaseHTTPRequestHandler):
    """n1 decides; the others ask it, but for reads if they are "hasty"."""

    def do_GET(self):
        mine = name == "n1" or way == "hasty"
        self.answer(values.get(self.path) if mine else self.asked(None))

    def do_PUT(self):
        value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if name != "n1":
            self.asked(value)
        values[self.path] = value
        self.answer("done")

    def asked(self, value):
        body, method = (None, "GET") if value is None else (json.dumps(value).encode(), "PUT")
        with urlopen(Request(f"http://{leader}{self.path}", body, method=method), timeout=0.5) as answer:
            return json.load(answer)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
'''


@pytest.mark.real
def test_nodes_are_partitioned_and_who_answers_from_memory_meanwhile_is_convicted(
    pytester: pytest.Pytester,
) -> None:
    pytester.path.joinpath("forwarder.py").write_text(FORWARDER)
    clients = example("test_kv.py").partition("def test_")[0]
    pytester.path.joinpath("test_it.py").write_text(
        clients
        + """
import pytest

@pytest.mark.parametrize("way, status", [("careful", "valid"), ("hasty", "invalid")])
def test_it(chaos_cluster, chaos_run, way, status):
    service = chaos_cluster([sys.executable, "forwarder.py", "{name}", "{port}", "{n1}", way])
    run = chaos_run(service, {"read": read, "write": write}, model="register",
                    faults=["partition:halves"], time_limit_s=4)
    assert run.status == status, run.text
    assert run.ledger[0].observed
    assert run.counts("read")["ok"] > 10
"""
    )
    result = pytester.runpytest_subprocess(*OURS, "--chaos", "--chaos-seed", "5")
    result.assert_outcomes(passed=2)
    assert not (pytester.path / "runs").exists()


@pytest.mark.real
def test_nodes_end_with_a_test_run_that_is_killed(pytester: pytest.Pytester) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends them")
    pytester.path.joinpath("kv.py").write_text(example("kv.py"))
    pytester.makepyfile(
        test_it="""
import os, signal, sys, pathlib, time

def read(node, key, *value):
    pathlib.Path("seen").write_text("yes")
    os.kill(os.getpid(), signal.SIGKILL)

def test_it(chaos_cluster, chaos_run):
    cluster = chaos_cluster([sys.executable, "kv.py", "{port}", "{data}/log"], nodes=2)
    chaos_run(cluster, {"read": read, "write": read}, model="register", faults=[])
"""
    )
    result = pytester.runpytest_subprocess(*OURS, "--chaos")
    assert result.ret == -9
    assert (pytester.path / "seen").exists()
    deadline = time.monotonic() + 10
    while (left := running(f"{pytester.path}.*data/n1/log")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == ""


@pytest.mark.real
def test_ctrl_c_heals_stops_keeps_what_was_recorded_and_ends_the_tests(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("kv.py").write_text(example("kv.py"))
    pytester.makepyfile(
        test_it="""
import os, signal, sys
from test_kv import read, write

def interrupting(node, key):
    if not os.path.exists("seen"):
        open("seen", "w").close()
        os.kill(os.getpid(), signal.SIGINT)
    return read(node, key)

def test_it(chaos_cluster, chaos_run):
    cluster = chaos_cluster([sys.executable, "kv.py", "{port}", "{data}/log"], nodes=2)
    chaos_run(cluster, {"read": interrupting, "write": write}, model="register", time_limit_s=300)

def test_more():
    open("more", "w").close()
"""
    )
    pytester.path.joinpath("test_kv.py").write_text(example("test_kv.py").partition("def test_")[0])
    result = pytester.runpytest_subprocess(*OURS, "--chaos", "test_it.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not (pytester.path / "more").exists()
    (kept,) = (pytester.path / "runs/pytest/test-it").iterdir()
    assert {"history.jsonl", "results.json", "report.html"} <= {each.name for each in kept.iterdir()}
    assert running(f"{pytester.path}.*data/n1/log") == ""


@pytest.mark.real
def test_a_run_in_a_fixture_is_shown_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest, sys

@pytest.fixture
def it(chaos_cluster, chaos_run):
    cluster = chaos_cluster([sys.executable, "-c", "raise SystemExit('no license')"], nodes=1)
    run = chaos_run(cluster, {"read": print, "write": print}, model="register", time_limit_s=1)
    assert run.valid

def test_it(it):
    pass
"""
    )
    result = pytester.runpytest_subprocess(*OURS, "--chaos")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*- chaos run: failed -*"])


IDS = """
import os, socket, sys

path = sys.argv[2]
given = int(open(path).read()) if os.path.exists(path) else 0
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    while True:
        asking, _ = listening.accept()
        with asking:
            given += 1
            with open(path + ".new", "w") as file:
                file.write(str(given))
            os.replace(path + ".new", path)
            try:
                asking.sendall(b"%d" % given)
            except OSError:
                pass
"""
CLIENT = """
import socket

def new_id(node):
    with socket.create_connection((node.host, node.port), timeout=1) as asked:
        return int(asked.recv(100))
"""


@pytest.mark.real
def test_a_service_without_keys_is_judged_by_a_checker_as_the_guide_says(pytester: pytest.Pytester) -> None:
    forgetful = IDS.replace("os.path.exists(path)", "False")
    for name, text in (("ids", IDS), ("forgetful", forgetful), ("my_client", CLIENT)):
        pytester.path.joinpath(f"{name}.py").write_text(text)
    test = example("test_ids.py").replace("time_limit_s=5", "time_limit_s=2")
    pytester.path.joinpath("test_ids.py").write_text(test)
    pytester.path.joinpath("test_forgetful.py").write_text(test.replace("ids.py", "forgetful.py"))
    result = pytester.runpytest_subprocess(*OURS, "--chaos", "--chaos-seed", "3")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*chaos run: invalid: unique-ids: *"])


@pytest.mark.real
def test_what_a_client_function_gets_wrong_is_told(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("ids.py").write_text(IDS)
    pytester.makepyfile(
        """
import html, sys

def test_it(chaos_cluster, chaos_run):
    cluster = chaos_cluster([sys.executable, "ids.py", "{port}", "{data}/next"], nodes=1)
    functions = {"read": lambda node, key: nothing, "write": lambda node, key, value: None}
    run = chaos_run(cluster, functions, model="register", faults=[], time_limit_s=1)
    assert run.status == "vacuous"
    assert run.notes[0] == "read most often ended with: NameError: name 'nothing' is not defined"
    assert run.notes[0] in run.text
    assert run.notes[0] in html.unescape(run.report.read_text())
"""
    )
    pytester.runpytest_subprocess(*OURS, "--chaos").assert_outcomes(passed=1)


@pytest.mark.real
def test_nodes_that_do_not_talk_cannot_be_partitioned_and_that_is_vacuous(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("ids.py").write_text(IDS)
    pytester.path.joinpath("my_client.py").write_text(CLIENT)
    pytester.makepyfile(
        """
import sys
from checkers.history import Op
from checkers.unique_ids import UniqueIds
from harness.generators import numbered
from my_client import new_id

def test_it(chaos_cluster, chaos_run):
    cluster = chaos_cluster([sys.executable, "ids.py", "{port}", "{data}/next"], nodes=2)
    functions = {"generate": lambda node, key: f"{node.name}-{new_id(node)}"}
    asking = numbered(lambda number: Op(f="generate"))
    run = chaos_run(cluster, functions, generator=asking, checkers=[UniqueIds()], faults=["partition:halves"],
                    time_limit_s=1.5)
    assert run.status == "vacuous", run
    assert "partition" in run.verdict.summary
    assert not run.valid
"""
    )
    pytester.runpytest_subprocess(*OURS, "--chaos").assert_outcomes(passed=1)
