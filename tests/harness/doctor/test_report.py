from __future__ import annotations

import io

from rich.console import Console

from harness.doctor.examine import Row
from harness.doctor.report import alike, as_json, render

ROWS = [
    Row("here", "memory", "ok", "900 MiB available"),
    Row("here", "terminal", "not needed", "no terminal"),
    Row("n1", "memory", "ok", "800 MiB available"),
    Row("n1", "iptables", "missing", "iptables is missing", "apt-get install iptables"),
    Row("n2", "memory", "ok", "700 MiB available"),
    Row("n2", "iptables", "ok", "the table filter can be read"),
    Row("n3", "memory", "missing", "1 MiB of memory are available", "give it more"),
    Row("n3", "iptables", "missing", "iptables is missing", "apt-get install iptables"),
]


def shown(rows: list[Row]) -> str:
    console = Console(file=io.StringIO(), width=100)
    render(console, rows)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_hosts_that_are_alike_stand_in_one_line_and_this_machine_never_with_them() -> None:
    assert [(places, found.check, found.state) for places, found in alike(ROWS)] == [
        ("here", "memory", "ok"),
        ("here", "terminal", "not needed"),
        ("n1 n2", "memory", "ok"),
        ("n1 n3", "iptables", "missing"),
        ("n2", "iptables", "ok"),
        ("n3", "memory", "missing"),
    ]
    many = [Row(f"n{i}", "ip", "ok", "/sbin/ip") for i in range(1, 100)]
    assert [(places, found.detail) for places, found in alike(many)] == [("n1 and 98 more", "/sbin/ip")]


def test_figures_that_differ_are_said_to_be_one_hosts() -> None:
    assert dict(alike(ROWS))["n1 n2"].detail == "n1: 800 MiB available; the others alike"


def test_what_mends_it_stands_below_what_is_missing() -> None:
    assert shown(ROWS) == (
        """\
where  what      is
here   memory    ok          900 MiB available
here   terminal  not needed  no terminal
n1 n2  memory    ok          n1: 800 MiB available; the others alike
n1 n3  iptables  missing     iptables is missing
                             apt-get install iptables
n2     iptables  ok          the table filter can be read
n3     memory    missing     1 MiB of memory are available
                             give it more

3 missing: what mends it stands below it"""
    )


def test_that_nothing_is_missing_is_said() -> None:
    assert shown(ROWS[:3]).endswith("\n\neverything that is needed is there")


def test_as_json_each_host_stands_by_itself() -> None:
    said = as_json(ROWS)
    assert said["ok"] is False
    assert said["checks"][3] == {
        "where": "n1",
        "check": "iptables",
        "state": "missing",
        "detail": "iptables is missing",
        "remedy": "apt-get install iptables",
    }
    assert as_json(ROWS[:3])["ok"] is True
