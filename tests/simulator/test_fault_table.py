"""The published table of fault cases: all thirty are there, each names tests, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "fault-suite.md"
CASES = 30


def _rows() -> dict[int, list[tuple[str, str]]]:
    """Return for each case the (file, test) that its row names; "::test" alone is in the file named before it."""
    rows: dict[int, list[tuple[str, str]]] = {}
    for number, tests in re.findall(r"^\| (\d+) [^|]*\| (.*) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE):
        named: list[tuple[str, str]] = []
        for file, test in re.findall(r"`([^`:]*)(?:::([^`]*))?`", tests):
            named.append((file or named[-1][0], test))
        rows[int(number)] = named
    return rows


ROWS = _rows()


@cache
def _functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_all_cases_are_in_the_table() -> None:
    assert sorted(ROWS) == list(range(1, CASES + 1))


@pytest.mark.parametrize("case", range(1, CASES + 1))
def test_a_case_names_tests_that_exist(case: int) -> None:
    named = ROWS[case]
    assert named, f"case {case} names no test"
    for file, test in named:
        assert not test or test in _functions(file), f"case {case} names {file}::{test}, which is not there"
        assert (TESTS / file).is_file(), f"case {case} names {file}, which is not there"
