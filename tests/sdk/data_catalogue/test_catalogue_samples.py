"""The kept tables of a small directory chain, and the script that writes one of any size."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from contracts.identifiers import is_uscc
from node.config import load_network_file
from sdk.data_catalogue.reading import read_table

SAMPLES = Path(__file__).resolve().parents[3] / "samples"
TABLES = ("duties", "systems", "resources")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_catalogue", SAMPLES / "make_catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_kept_tables_are_what_the_script_writes(script: ModuleType, tmp_path: Path) -> None:
    script.write_tables(tmp_path, *script.SMALL)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (SAMPLES / "catalogue" / f"{name}.csv").read_bytes(), name


@pytest.mark.parametrize("departments", [1, 7])
def test_a_chain_of_any_size_is_whole(script: ModuleType, tmp_path: Path, departments: int) -> None:
    script.main(tmp_path, departments, 30, 10, 80)
    tables = {name: read_table(tmp_path / f"{name}.csv") for name in TABLES}
    assert [len(table.entries) for table in tables.values()] == [30, 10, 80]
    assert not any(table.faults for table in tables.values())
    duties = {(entry.department, entry.content.code) for entry in tables["duties"].entries}
    systems = {(entry.department, entry.content.code) for entry in tables["systems"].entries}
    for entry in (*tables["systems"].entries, *tables["resources"].entries):
        assert is_uscc(entry.department)
        assert {(entry.department, code) for code in entry.content.duties} <= duties
        assert {(entry.department, code) for code in getattr(entry.content, "systems", ())} <= systems
    network = load_network_file(tmp_path / "network.toml")
    assert {department.code for department in network.departments} == {department for department, _ in duties}
