from __future__ import annotations

from pathlib import Path

import pytest

from harness import cli
from harness.commands import demo as command
from harness.demo.base import Claim, Conditions, Demo, DemoError, Shown

SHOWN = Shown(
    ["a part"], {"figure": 7}, [Claim("it holds", "7 of 7", True), Claim("and this", "0 of 7", False)]
)


def demo(monkeypatch: pytest.MonkeyPatch, *, fails: str = "", clusters: tuple[str, ...] = ("sim",)) -> None:
    def run(conditions: Conditions) -> Shown:
        conditions.tell("on the way")
        if fails:
            raise DemoError(fails)
        return SHOWN

    monkeypatch.setattr(command, "DEMOS", {"it": Demo("it", "a demo", "What it is.", clusters, run)})


def test_a_claim_that_fails_is_an_exit_code_only_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(monkeypatch)
    assert cli.main(["demo", "it", "--assert", "--seed", "3"]) == 1
    said = capsys.readouterr()
    assert "a part" in said.out
    assert "ok      it holds: 7 of 7" in said.out
    assert "failed  and this: 0 of 7" in said.out
    assert "run again: harness demo it --assert --seed 3\n" in said.out
    assert said.err == "on the way\n"
    assert cli.main(["demo", "it", "--seed", "3"]) == 0


def test_a_seed_that_was_drawn_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(monkeypatch)
    assert cli.main(["demo", "it"]) == 0
    assert "run again: harness demo it --seed " in capsys.readouterr().out


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo(monkeypatch)
    assert cli.main(["demo", "it", "--json", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out == (
        '{"claims":[{"figures":"7 of 7","holds":true,"text":"it holds"},'
        '{"figures":"0 of 7","holds":false,"text":"and this"}],"demo":"it","figure":7,"seed":3}\n'
    )


def test_what_cannot_be_run_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(monkeypatch, fails="a node did not start")
    assert cli.main(["demo", "it"]) == 255
    assert capsys.readouterr().err.endswith("harness: a node did not start\n")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--cluster", "ssh"], "needs --nodes-file"),
        (["--cluster", "sim", "--lab", "x"], "only for --cluster netns"),
        (["--seed", "-1"], "--seed is -1"),
        (["--cluster", "local"], "invalid choice: 'local'"),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    demo(monkeypatch, clusters=("sim", "ssh"))
    try:
        code = cli.main(["demo", "it", *words])
    except SystemExit as refused:
        code = int(str(refused.code))
    assert code == 254
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said


def test_too_few_hosts_for_a_demo_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("root@10.0.0.1\nroot@10.0.0.2\n")
    assert cli.main(["demo", "cap", "--cluster", "ssh", "--nodes-file", str(hosts)]) == 254
    assert capsys.readouterr().err == f"harness: --nodes-file {hosts} names 2 hosts; this needs 5\n"
