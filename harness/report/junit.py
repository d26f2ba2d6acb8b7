"""JUnit XML, as Jenkins (its junit-4 schema) and GitLab read it: a suite for each run or file, a case for
each checker and each fault.

A violation is a `failure`. Whatever else is not "valid" is an `error`: nothing was shown to be wrong, but
nothing was shown to be right either. It is never `skipped`, as continuous integration is green with tests
that were skipped, and a fault that did not bite is no reason to be green.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.report.outcome import Case, Kind, Outcome

TAGS: Final[dict[Kind, str | None]] = {
    "valid": None,
    "invalid": "failure",
    "unknown": "error",
    "vacuous": "error",
    "failed": "error",
    "refused": "error",
}

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) has no way to write."""
_COLOURS: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
"""What programs say to a terminal in between (ECMA-48, section 5.4)."""


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The whole document."""
    root = Element("testsuites", _counts(outcomes))
    for outcome in outcomes:
        _suite(root, outcome)
    indent(root)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(root: Element, outcome: Outcome) -> None:
    suite = SubElement(root, "testsuite", {"name": _text(outcome.name), **_counts([outcome])})
    if outcome.facts:
        properties = SubElement(suite, "properties")
        for name, value in outcome.facts.items():
            SubElement(properties, "property", {"name": name, "value": _text(value)})
    for case in outcome.cases:
        _case(suite, outcome, case)


def _case(suite: Element, outcome: Outcome, case: Case) -> None:
    element = SubElement(
        suite, "testcase", {"classname": _text(outcome.group), "name": _text(case.name), "time": "0"}
    )
    tag = TAGS[case.kind]
    if tag is None:
        SubElement(element, "system-out").text = _text(case.summary)
        return
    wrong = SubElement(element, tag, {"type": case.kind, "message": _text(f"{case.kind}: {case.summary}")})
    again = [
        f"{name}: {outcome.facts[name]}" for name in ("run again", "written to") if name in outcome.facts
    ]
    wrong.text = _text("\n".join([case.summary, *case.story, *again]))


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    tags = [TAGS[case.kind] for outcome in outcomes for case in outcome.cases]
    return {
        "tests": str(len(tags)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", _COLOURS.sub("", text))
