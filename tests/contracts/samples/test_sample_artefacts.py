"""The kept artefacts are what npm's solc makes of the sources; without npm or its registry the test says so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

MAX_CODE_BYTES = 24_576
"""EIP-170."""
NAMES = ("FoodTrace", "Registry")


def test_the_artefacts_are_what_the_compiler_makes_of_the_sources(
    samples: Path, artefact: Any, solc: Path, tmp_path: Path
) -> None:
    sources = [str(samples / f"{name}.sol") for name in NAMES]
    command = ["node", str(samples / "compile.mjs"), str(solc), str(tmp_path), *sources]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    for name in NAMES:
        assert json.loads((tmp_path / f"{name}.json").read_text()) == artefact(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_holds_all_that_deploying_and_calling_take(samples: Path, artefact: Any, name: str) -> None:
    kept = artefact(name)
    assert (samples / kept["sourceName"]).is_file()
    assert {entry["type"] for entry in kept["abi"]} >= {"function", "event"}
    assert len(bytes.fromhex(kept["deployedBytecode"].removeprefix("0x"))) <= MAX_CODE_BYTES
    assert kept["bytecode"].endswith(kept["deployedBytecode"].removeprefix("0x"))
    assert {path.stem for path in samples.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_reason_is_a_name_and_its_text_in_chinese_and_english(samples: Path, name: str) -> None:
    reasons = re.findall(r'unicode"([^"]*)"', (samples / f"{name}.sol").read_text())
    assert reasons
    for reason in reasons:
        assert re.fullmatch(r"(?:[A-Z_]+: )?[^a-z/]*[一-鿿][^a-z/]* / [ -~]+", reason), reason
