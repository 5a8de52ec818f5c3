"""Compiling a copy of the samples: together with the interfaces it works, and what is missing or warned of is told in a line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOLC = """
// Stands in for npm's solc: asks for the first import, and answers as the source's comment says.
exports.version = () => "0.8.37+commit.00000000.Emscripten.clang";
exports.compile = (input, { import: read }) => {
  const [[name, { content }]] = Object.entries(JSON.parse(input).sources);
  const errors = [];
  const wanted = content.match(/import "\\.\\.\\/(.*)"/);
  const found = wanted && read(wanted[1]);
  if (found?.error) errors.push({ severity: "error", errorCode: "6275", formattedMessage: `not found: ${found.error}` });
  if (content.includes("warn")) errors.push({ severity: "warning", errorCode: "2072", formattedMessage: "Warning: unused" });
  const evm = { bytecode: { object: "60" }, deployedBytecode: { object: "" } };
  return JSON.stringify({ errors, contracts: { [name]: { Box: { abi: [], evm } } } });
};
"""


@pytest.fixture
def copied(samples: Path, tmp_path: Path) -> Path:
    """A folder with copies of samples and interfaces, as the samples' page says to make them."""
    for name in ("samples", "interfaces"):
        shutil.copytree(samples.parent / name, tmp_path / name)
    return tmp_path / "samples"


def test_a_copy_of_samples_and_interfaces_compiles_with_vyper(copied: Path) -> None:
    command = [sys.executable, "-m", "vyper.cli.vyper_compile", "-f", "combined_json", "tender.vy"]
    ran = subprocess.run(command, cwd=copied, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert '"tender.vy"' in ran.stdout


def test_a_contract_of_one_s_own_finds_the_interfaces_by_the_search_path(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "Own.vy").write_text(
        "from interfaces import IMembers\nfrom interfaces import addresses\n\n"
        "@external\n@view\ndef mine() -> String[18]:\n"
        "    return staticcall IMembers(addresses.MEMBERS).department_of(msg.sender)\n"
    )
    command = [sys.executable, "-m", "vyper.cli.vyper_compile", "-p", str(samples.parent), "-p", "."]
    ran = subprocess.run(
        [*command, "-f", "combined_json", "Own.vy"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run compile.mjs")
@pytest.mark.parametrize(
    ("name", "source", "has_solc", "told"),
    [
        ("Absent.sol", None, True, "cannot read the source (ENOENT)"),
        ("Box.sol", "contract Box {}", False, "npm install solc first"),
        ("Box.sol", 'import "../nowhere/I.sol"; contract Box {}', True, "copy samples and interfaces together"),
        ("Box.sol", "contract Box { /* warn */ }", True, "a warning is an error here: nothing was written"),
        ("Other.sol", "contract Box {}", True, "expected a contract called Other"),
        ("Box.sol", 'import "../interfaces/ICrypto.sol"; contract Box {}', True, None),
    ],
)
def test_what_cannot_be_compiled_is_told_in_words(
    copied: Path, name: str, source: str | None, has_solc: bool, told: str | None
) -> None:
    if has_solc:
        (copied / "node_modules" / "solc").mkdir(parents=True)
        (copied / "node_modules" / "solc" / "index.js").write_text(SOLC)
    if source is not None:
        (copied / name).write_text(source)
    command = ["node", "compile.mjs", ".", ".", name]
    ran = subprocess.run(command, cwd=copied, capture_output=True, text=True, timeout=60)
    assert "    at " not in ran.stderr
    if told is None:
        assert (ran.returncode, ran.stderr) == (0, "")
    else:
        assert ran.returncode == 1
        assert told in ran.stderr
    assert (copied / "Box.json").exists() == (told is None)
