"""Log lines: one for each event, whatever is in it, for people and for programs."""

from __future__ import annotations

import json
import logging

import pytest

from store.core.machine import Happened
from store.logs import JsonLines, TextLines, event, node_event

log = logging.getLogger("test")


def lines(caplog: pytest.LogCaptureFixture, formatter: logging.Formatter) -> list[str]:
    return [formatter.format(record) for record in caplog.records]


def test_an_event_is_a_line_of_words_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    event(
        log, logging.WARNING, "link-down", peer="n2", at="127.0.0.1:1", reason="Connection refused", tries=3
    )
    (line,) = lines(caplog, TextLines("n1"))
    time, said = line.split(" ", 1)
    assert time.endswith("Z")
    assert said == 'WARNING n1 link-down peer=n2 at=127.0.0.1:1 reason="Connection refused" tries=3'


def test_the_same_as_json(caplog: pytest.LogCaptureFixture) -> None:
    event(log, logging.WARNING, "link-down", peer="n2", tries=3, seen=["n3"])
    log.warning("data directory %s: is damaged", "/data")
    first, second = [json.loads(line) for line in lines(caplog, JsonLines("n1"))]
    del first["time"], second["time"]
    assert first == {
        "level": "WARNING",
        "node": "n1",
        "event": "link-down",
        "peer": "n2",
        "tries": 3,
        "seen": ["n3"],
    }
    assert second == {
        "level": "WARNING",
        "node": "n1",
        "event": "note",
        "text": "data directory /data: is damaged",
    }


def test_nothing_in_a_field_makes_a_second_line_or_another_field(caplog: pytest.LogCaptureFixture) -> None:
    event(log, logging.ERROR, "odd", key='a" b=1\nERROR n9 forged', more="", time="noon")
    (text,) = lines(caplog, TextLines("n1"))
    assert "\n" not in text
    assert text.endswith(' n1 odd key="a\\" b=1\\nERROR n9 forged" more="" time=noon')
    (line,) = lines(caplog, JsonLines("n1"))
    assert "\n" not in line
    assert json.loads(line)["time"] != "noon"


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        *(("record-damaged", "WARNING"), ("disk-full", "WARNING"), ("member-dead", "WARNING")),
        *(("disk-has-room", "INFO"), ("member-alive", "INFO"), ("layout-adopted", "INFO")),
    ],
)
def test_what_is_grave_is_a_warning(kind: str, level: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node_event(log, Happened(kind, {"node": "n2"}))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (level, f"{kind} node=n2")
    ]


def test_a_traceback_stays_with_its_record(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it failed")
    (line,) = lines(caplog, JsonLines("n1"))
    assert json.loads(line)["traceback"].endswith("ValueError: why")
