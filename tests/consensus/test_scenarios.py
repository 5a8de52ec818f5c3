"""Golden scenarios: for each rule a data file of inputs and the exact actions that they cause."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "scenarios"
CASES = [
    pytest.param(case, id=f"{scenario['rule']}: {case['name']}")
    for path in sorted(FOLDER.glob("*.toml"))
    for scenario in [tomllib.loads(path.read_text("utf-8"))]
    for case in scenario["case"]
]


@pytest.mark.parametrize("case", CASES)
def test_scenario(case: dict[str, Any], probe: Callable[..., Any]) -> None:
    own = None if case["own"] == "observer" else case["own"]
    core = probe(n=case.get("n", 4), own=own)
    expected = [line for line in case["script"].splitlines() if line]
    found: list[str] = []
    for line in expected:
        if not line.startswith(" "):
            found += [line, *(f"  {action}" for action in core(line))]
    assert found == expected


def test_every_rule_has_a_scenario() -> None:
    rules = {tomllib.loads(path.read_text("utf-8"))["rule"] for path in FOLDER.glob("*.toml")}
    assert rules == {f"R{number}" for number in range(1, 13)}
