"""SPEC.md and the tests say the same: each rule has a test, each rule that a test quotes exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.server_process import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

RULE = re.compile(r"^- \*\*([A-Z]\d+)\*\* ", re.MULTILINE)
PYTHON_TEST = re.compile(r"def test_([a-z]\d+)_")
BROWSER_TEST = re.compile(
    r"""\b(?:it|test)(?:\.each\(.*\))?\(\s*["'`]([wuv]\d+)[_ ]""", re.IGNORECASE
)


def quoted() -> Iterator[str]:
    for path in (ROOT / "tests").rglob("test_*.py"):
        yield from (rule.upper() for rule in PYTHON_TEST.findall(path.read_text()))
    for path in (ROOT / "web" / "tests").rglob("*.test.ts"):
        yield from (rule.upper() for rule in BROWSER_TEST.findall(path.read_text()))


def test_every_rule_has_a_test_and_every_test_its_rule() -> None:
    rules = RULE.findall((ROOT / "SPEC.md").read_text())
    assert len(rules) == len(set(rules)), "a number is used twice"
    tested = set(quoted())
    assert set(rules) - tested == set(), "rules without a test"
    assert tested - set(rules) == set(), "tests that quote no rule"
