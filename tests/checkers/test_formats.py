from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.formats import Format, detect_format, encode_line, read_history, to_edn, write_jsonl
from checkers.formats.edn import edn, read_edn
from checkers.history import NEMESIS, HistoryError, Op
from tests.support.histories import histories

ROOT = Path(__file__).parents[2]
OK = Op(process=0, type="ok", f="read", value=1)


def written(directory: Path, content: str | bytes) -> Path:
    path = directory / "history"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Reading ----------------------------------------------------------------------------------------------


def test_json_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"index":0,"time":5,"process":0,"f":"write","key":"k","value":[1,"a"]}\n\n'
        '{"index":1,"time":9,"process":0,"type":"info","f":"write","key":"k","error":"timeout"}\n',
    )
    assert detect_format(path) is Format.JSONL
    assert read_history(path) == [
        Op(0, 5, 0, "invoke", "write", "k", [1, "a"]),
        Op(1, 9, 0, "info", "write", "k", None, "timeout"),
    ]


VECTOR = """; a comment, with a [bracket
[{:process 0, :type :invoke, :f :cas, :value [1 2], :index 0}
 {:process 1 :type :invoke :f :txn,:value[[:read :x nil][:append "y" #{3 1 2}]]} ; no spaces
 #jepsen.history.Op{:process :nemesis, :type :info, :f :start, :value {:n1 "down"}}
 #_ {:process 9, :type :junk} {:type :fail, :process 0, :f :cas, :error [:not-found "\\"x\\""], :time 77}]
"""


@pytest.mark.parametrize("brackets", ["[]", "()"])
def test_edn_in_one_vector_or_list(tmp_path: Path, brackets: str) -> None:
    text = VECTOR.strip()
    text = text.replace("\n[{", f"\n{brackets[0]}{{").removesuffix("]") + brackets[1]
    path = written(tmp_path, text)
    assert detect_format(path) is Format.EDN
    assert read_history(path) == [
        Op(0, -1, 0, "invoke", "cas", None, [1, 2]),
        Op(-1, -1, 1, "invoke", "txn", None, [[":read", ":x", None], [":append", "y", [1, 2, 3]]]),
        Op(-1, -1, NEMESIS, "info", "start", None, {":n1": "down"}),
        Op(-1, 77, 0, "fail", "cas", None, None, [":not-found", '"x"']),
    ]


def test_edn_with_a_map_a_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{:process 0, :type :invoke, :f :get, :key 7}\n{:process 0 :type :ok :f :get :key 7 :value ""}',
    )
    assert read_history(path) == [
        Op(process=0, f="get", key="7"),
        Op(process=0, type="ok", f="get", key="7", value=""),
    ]


@pytest.mark.parametrize("gap", ["\t", "  "])
def test_jepsens_log(tmp_path: Path, gap: str) -> None:
    lines = [
        "4 :invoke :cas [2 4]",
        "3 :invoke :write 0",
        "4 :fail :cas [2 4]",
        "3 :info :write :timed-out",
        ":nemesis :info :start nil",
    ]
    text = "".join(f"INFO  jepsen.util - {line}\n".replace(" :", f"{gap}:") for line in lines)
    path = written(tmp_path, "INFO  jepsen.core - Worker 0 starting\n" + text)
    assert detect_format(path) is Format.LOG
    assert read_history(path) == [
        Op(process=4, f="cas", value=[2, 4]),
        Op(process=3, f="write", value=0),
        Op(process=4, type="fail", f="cas", value=[2, 4]),
        Op(process=3, type="info", f="write", error=":timed-out"),
        Op(process=NEMESIS, type="info", f="start"),
    ]


def test_independent_tuples_become_keys(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "{:process 0 :type :invoke :f :read :value [7 nil]}\n{:process :nemesis :type :info :f :kill}\n"
        "{:process 0 :type :ok :f :read :value [7 3]}\n",
    )
    first, _, last = read_history(path, independent=True)
    assert (first.key, first.value, last.key, last.value) == ("7", None, "7", 3)
    with pytest.raises(
        HistoryError, match=r"line 1: an independent operation's value is \[key value\], not 3"
    ):
        read_history(written(tmp_path, "{:process 0 :type :invoke :f :read :value 3}\n"), independent=True)


def test_the_torn_tail_of_a_killed_run_is_dropped_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, encode_line(Op(process=0, f="read")) + encode_line(OK)[:-9])
    told: list[str] = []
    assert read_history(path, allow_torn_tail=True, notice=told.append) == [Op(process=0, f="read")]
    assert told == [f"{path}, line 2: dropped {len(encode_line(OK)) - 9} bytes of a line that was cut off"]
    with pytest.raises(HistoryError, match=r"line 2: this is not JSON .* may have been cut off"):
        read_history(path)


@pytest.mark.parametrize("torn", ["", "\n", "{", '{"proc', '{"process":0,"f":"read"}'])
def test_a_run_killed_in_its_first_line_leaves_an_empty_history(tmp_path: Path, torn: str) -> None:
    assert read_history(written(tmp_path, torn), allow_torn_tail=True) == []


# Refusing ---------------------------------------------------------------------------------------------

GOOD_JSON = '{"process":0,"f":"read"}\n'
GOOD_EDN = "{:process 0 :type :invoke :f :read}\n"
GOOD_LOG = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        ("", 1, "there is no operation in this file"),
        ("hello\n", 1, "neither JSON lines, nor EDN, nor a Jepsen log begins with 'hello"),
        (b"\x7fELF\0\0", 1, "this is binary"),
        (b"\n\xff\xfe garbage", 2, "this is not UTF-8 text"),
        ('[{"process": 0}]', 1, "one operation a line"),
        (GOOD_JSON + '{"process":0,"type":"done","f":"read"}\n', 2, r"not an operation: .*'done'"),
        (GOOD_JSON + '{"process":0,"type":"ok","f":7}\n', 2, r"not an operation: .*\$\.f"),
        (GOOD_JSON + "garbage\n", 2, "not JSON"),
        (GOOD_JSON + GOOD_JSON, 2, "process 0 invokes read while its read is outstanding"),
        (GOOD_JSON + '{"time":3}\n', 2, "needs an f"),
        (GOOD_EDN + "{:process 0 :type :done :f :read}", 2, "not :done"),
        (GOOD_EDN + "{:process 0 :type :ok :f :write}", 2, "process 0 invoked read but completes write"),
        (GOOD_EDN + "garbage", 2, "an operation is a map"),
        (GOOD_EDN + "{:process 0 :type :ok", 2, "the file ends inside a map: it may have been cut off"),
        (GOOD_EDN + '{:process 0 :type :ok :f :read :value "x', 2, "a string is not closed"),
        ("[" + GOOD_EDN, 2, "the file ends inside a vector"),
        ("[" + GOOD_EDN + "]" + GOOD_EDN, 2, "something follows the vector"),
        ("[" + GOOD_EDN + ")", 2, r"'\)' closes nothing"),
        ("[{:process 0 :type :ok ]", 1, "']' closes a map"),
        ("{:process 0 :type}", 1, "a map has a key without a value"),
        ("{:process 1.5 :type :ok :f :read}", 1, "a process is an integer or :nemesis, not 1.5"),
        ("[" * 100, 1, "nested more than 64 deep"),
        (GOOD_LOG + "INFO  jepsen.util - 0\t:done\t:read\tnil\n", 2, "not :done"),
        (GOOD_LOG + "INFO  jepsen.util - 0\t:ok\t:read\t[1\n", 2, "not a whole EDN value"),
        (GOOD_LOG + "INFO  jepsen.util - 0\t:ok\t:read\t1", 2, "may have been cut off"),
        (GOOD_LOG + "garbage\n", 2, "this is no line of Jepsen's log"),
    ],
)
def test_what_is_no_history_is_refused_by_file_and_line(
    tmp_path: Path, content: str | bytes, line: int, sentence: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(HistoryError, match=rf"^{path}, line {line}: .*{sentence}"):
        read_history(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="history: No such file or directory"):
        read_history(tmp_path / "history")


MIB = 1 << 20


@pytest.mark.parametrize(
    ("begin", "repeated"),
    [
        ("", "\0"),
        ("", "garbage "),
        (GOOD_JSON, "x"),
        (GOOD_JSON + '{"f":"', "x"),
        (GOOD_EDN, "garbage\n"),
        (GOOD_EDN + '{:process 1 :f "', "x"),
        (GOOD_EDN + "{:process 1 :f ", "x"),
        ("[{:value [", "1 "),
        ("[", "["),
        (GOOD_EDN, ";"),
        (GOOD_LOG, "x"),
    ],
)
def test_a_hundred_megabytes_of_garbage_are_refused_soon(tmp_path: Path, begin: str, repeated: str) -> None:
    path = garbage(tmp_path, begin, repeated)
    began = time.process_time()
    with pytest.raises(HistoryError, match=f"^{path}, line "):
        read_history(path)
    assert time.process_time() - began < 10


def test_an_operation_that_never_ends_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = garbage(tmp_path, "[{:value [", "1 ")
    program = (
        "import resource, sys; from checkers.formats import read_history\n"
        "resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
        "try: read_history(sys.argv[1])\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == f"{path}, line 1: an operation is larger than 4 MiB"


def garbage(directory: Path, begin: str, repeated: str) -> Path:
    path = directory / "history"
    block = (repeated * MIB)[:MIB].encode()
    with path.open("wb") as file:
        file.write(begin.encode())
        for _ in range(100):
            file.write(block)
    return path


# Round trips ------------------------------------------------------------------------------------------

VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([":x", ":a/b", ":", "::", ": x", ":a b", ";", "#_", "nil", "\\", '"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_edn_values_are_read_back(value: Any) -> None:
    assert read_edn(edn(value)) == value
    assert read_edn(f"#tag ;x\n {edn(value)} #_ gone ,") == value


@given(
    histories([("read", None), ("write", 1), ("cas", [1, None])], [None, ":x", "a\nb", [1, {"a": 2.5}]], 6),
    st.sampled_from(["jsonl", "edn"]),
)
def test_histories_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, events: list[Op], kind: str
) -> None:
    path = tmp_path_factory.mktemp("round") / "history"
    if kind == "jsonl":
        write_jsonl(events, path)
    else:
        path.write_text(to_edn(events))
    assert read_history(path, allow_torn_tail=True) == events


def test_every_field_survives_both_formats(tmp_path: Path) -> None:
    events = [
        Op(0, 5, 3, "invoke", "cas", "k", [None, 2.5]),
        Op(1, 6, NEMESIS, "info", "kill", None, {"nodes": ["n1"]}),
        Op(2, 9, 3, "fail", "cas", "k", [None, 2.5], "mismatch"),
    ]
    write_jsonl(events, tmp_path / "history")
    assert read_history(tmp_path / "history") == events
    (tmp_path / "history").write_text(to_edn(events))
    assert read_history(tmp_path / "history") == events


def test_pieces_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = VECTOR.replace('"y"', '"y\n ] ; é"')
    path = written(tmp_path, text)
    whole = read_history(path)
    for size in range(1, 60):
        monkeypatch.setattr("checkers.formats.jepsen.PIECE_BYTES", size)
        assert read_history(path) == whole
