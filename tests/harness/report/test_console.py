"""The report on a terminal, compared with what it looked like when somebody last looked at it.

After a wanted change: `STORMCELLAR_REWRITE_GOLDEN=1 pytest tests/harness/report`, and look at the diff.
"""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness.plan import Plan
from harness.report.console import headline, render, render_check, why
from tests.support.sample_run import invalid_verdict, summary, valid_verdict

GOLDEN = Path(__file__).parent / "golden"


def screen(width, encoding="utf-8", **options):
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width, **options)


def text_of(console):
    console.file.flush()
    text = console.file.buffer.getvalue().decode(console.file.encoding)
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def compare(name, text):
    path = GOLDEN / name
    if os.environ.get("STORMCELLAR_REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "width", "encoding", "verdict"),
    [
        ("valid_80.txt", 80, "utf-8", valid_verdict()),
        ("valid_140.txt", 140, "utf-8", valid_verdict()),
        ("invalid_100.txt", 100, "utf-8", invalid_verdict()),
        ("invalid_80_ascii.txt", 80, "ascii", invalid_verdict()),
    ],
)
def test_a_whole_report_looks_as_it_did(name, width, encoding, verdict):
    console = screen(width, encoding)
    render(console, summary(verdict))
    text = text_of(console)
    assert all(len(line) <= width for line in text.splitlines())
    compare(name, text)


def test_a_report_in_colour_says_the_same():
    plain, coloured = screen(100), screen(100, force_terminal=True, color_system="truecolor", record=True)
    render(plain, summary(invalid_verdict()))
    render(coloured, summary(invalid_verdict()))
    said = "".join(line.rstrip() + "\n" for line in coloured.export_text().splitlines())
    assert said == text_of(plain)


@pytest.mark.parametrize("status", Status)
def test_every_verdict_is_a_word(status):
    console = screen(80)
    render(console, summary(Verdict("run", status, "because")))
    assert f"{' '.join(status.value.upper())}    because" in text_of(console)


def test_the_banner_says_why_in_one_sentence():
    good, slow = Verdict("a", Status.VALID, "good"), Verdict("b", Status.UNKNOWN, "slow")
    assert why(Verdict("all", Status.VALID, "x", parts=(good, good))) == "nothing is wrong: good"
    assert why(Verdict("all", Status.UNKNOWN, "x", parts=(good, slow))) == "b: slow"
    assert why(Verdict("all", Status.UNKNOWN, "x", parts=(slow, slow))) == "b: slow (and 1 more, see below)"
    assert why(Verdict("all", Status.INVALID, "x")) == "x"


def test_what_was_valid_when_it_was_stopped_is_said_to_be_so_until_then():
    stopped = summary(valid_verdict(), interrupted_s=12.34)
    word, said = headline(stopped)
    assert (word, said.partition(":")[0]) == ("valid", "until it was stopped at 12.3 s, nothing is wrong")
    assert headline(replace(stopped, verdict=invalid_verdict()))[1] == why(invalid_verdict())


def test_a_run_that_was_stopped_or_lost_nodes_says_so():
    console = screen(120)
    render(
        console,
        summary(
            valid_verdict(),
            plan=Plan(cluster="local", seed=5),
            interrupted_s=12.34,
            failures=["n3 died at 10.2 s: exit code 1"],
            notes=["runs/latest is not a symbolic link"],
        ),
    )
    text = text_of(console)
    assert "interrupted at 12.3 of 60 s" in text
    assert "F A I L E D    n3 died at 10.2 s: exit code 1. What was recorded until then is valid: no" in text
    assert "V A L I D" not in text
    assert "note        runs/latest is not a symbolic link" in text
    assert "virtual" not in text
    assert "(the seed repeats what is asked and which faults come, not the interleaving)" in text


def test_of_a_run_that_failed_before_it_began_only_that_is_told():
    verdict = Verdict(
        "run", Status.VACUOUS, "none", parts=(Verdict("linearizable", Status.VALID, "0 operations"),)
    )
    console = screen(120)
    render(console, summary(verdict, history=[], entries=[], failures=["there is no lab x that is up"]))
    text = text_of(console)
    assert "F A I L E D    there is no lab x that is up. Nothing was recorded" in text
    for section in ("Operations", "Checkers", "valid", "vacuous"):
        assert section not in text
    assert "run again" in text


@pytest.mark.parametrize("history", [[], [Op(index=0, process=0, f="read", key="[bold]")]])
def test_a_run_in_which_next_to_nothing_happened_has_a_report(history):
    console = screen(80)
    render(console, summary(Verdict("run", Status.VACUOUS, "nothing [bold]ok"), history=history, entries=()))
    text = text_of(console)
    assert "nothing [bold]ok" in text
    assert "Faults\n" not in text
    assert "Timeline" not in text


@pytest.mark.parametrize("width", [1, 20, 40, 300])
def test_a_terminal_of_any_width_gets_a_report(width):
    console = screen(width)
    render(console, summary(invalid_verdict()))
    assert "Timeline" in text_of(console).replace("\n", "")


def test_square_brackets_are_text_everywhere():
    console = screen(140)
    verdict = Verdict(
        "[red]x", Status.INVALID, "[red]y", parts=(Verdict("[red]z", Status.INVALID, "[red]w"),)
    )
    render(console, summary(verdict, run_dir=Path("runs/[red]/1"), notes=["[red]n"]))
    for text in ("[red]z", "[red]w", "runs/[red]/1", "[red]n"):
        assert text in text_of(console)


def test_a_checked_file_is_a_line_and_a_counterexample():
    console = screen(100)
    render_check(console, "good.jsonl", valid_verdict())
    render_check(console, "bad.edn", invalid_verdict())
    compare("check_100.txt", text_of(console))


@pytest.mark.parametrize(("width", "last"), [(80, "max ms"), (72, "p99 ms"), (60, "p50 ms"), (46, "info")])
def test_figures_that_do_not_fit_are_left_out_and_never_cut(width, last):
    console = screen(width)
    render(console, summary(valid_verdict()))
    (header,) = [line for line in text_of(console).splitlines() if line.startswith("  operation  ")]
    assert header.split("  ")[-1].strip() == last
