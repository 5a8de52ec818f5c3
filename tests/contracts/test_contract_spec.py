"""The page on system contracts says what the code says."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

from contracts import (
    accounts,
    anchors,
    authorisations,
    batches,
    certificate_records,
    certificate_types,
    certificates,
    code_tables,
    crypto,
    data_sharing,
    deployments,
    frame,
    governance,
    members,
    offences,
    recent_blocks,
    serial_ranges,
    validator_sets,
)
from contracts.records import Table

SHARING_MODULES = list(pkgutil.iter_modules(data_sharing.__path__))
DOCS = Path(__file__).parents[2] / "docs" / "spec"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_tables", DOCS / "contract_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_code(tables: ModuleType) -> None:
    page = (DOCS / "contracts.md").read_text("utf-8")
    assert all(f"<!-- begin {part} -->" in page for part in tables.PARTS)
    assert tables.rendered(page) == page, "run: python docs/spec/contract_tables.py"


def test_every_table_of_records_is_on_the_page(tables: ModuleType) -> None:
    shared = [importlib.import_module(f"contracts.data_sharing.{found.name}") for found in SHARING_MODULES]
    modules = (
        *shared,
        accounts,
        anchors,
        authorisations,
        batches,
        certificate_records,
        certificate_types,
        certificates,
        code_tables,
        deployments,
        governance,
        members,
        offences,
        recent_blocks,
        serial_ranges,
        validator_sets,
    )
    declared = {table for module in modules for table in vars(module).values() if isinstance(table, Table)}
    assert declared == set(tables.KEYS)
    assert len({table.prefix for table in declared}) == len(declared)


def test_gas_is_as_the_page_says() -> None:
    page = (DOCS / "contracts.md").read_text("utf-8")
    for label, gas in (
        ("a call", frame.CALL_GAS),
        ("each byte of call data", frame.DATA_BYTE_GAS),
        ("each record read", frame.READ_GAS),
        ("each byte of a record read", frame.READ_BYTE_GAS),
        ("each record written or deleted", frame.WRITE_GAS),
        ("each byte of key and value written", frame.WRITE_BYTE_GAS),
        ("each log", frame.LOG_GAS),
        ("each byte of topics and data", frame.LOG_BYTE_GAS),
        ("each byte returned", frame.OUTPUT_BYTE_GAS),
        ("each SM2 signature checked", frame.SIGNATURE_GAS),
        ("a call by EVM code", frame.CODE_CALL_GAS),
        ("each 32 bytes of call data by EVM code", frame.CODE_WORD_GAS),
        ("`crypto`: each 32 bytes hashed", crypto.SM3_WORD_GAS),
        ("`crypto`: an SM2 signature", crypto.SM2_VERIFY_GAS),
        ("`crypto`: a sealed text", crypto.SM4_OPEN_GAS),
        ("`crypto`: each 32 bytes of sealed text and associated data", crypto.SM4_WORD_GAS),
        ("`crypto`: the leaf and each sibling of a path", crypto.MERKLE_LEVEL_GAS),
        ("`batches`: the leaf and each sibling of a path", batches.LEAF_GAS),
    ):
        assert f"| {label} | {gas:,} |" in page
