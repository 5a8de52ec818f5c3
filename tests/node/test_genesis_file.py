import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.parameters import ChainParameters
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.genesis_file import GenesisFileError, load_genesis, save_genesis


def make_genesis(root_certificate: bytes = b"\x30\x03\x02\x01\x01" * 30) -> Genesis:
    account = GenesisAccount(bytes(range(64)), ("issuer", "governor"), "clerk")
    return Genesis(
        7,
        "示范网络",
        1_700_000_000_000,
        ChainParameters(block_interval_ms=25),
        (GenesisValidator("node1", "D1", bytes(64)), GenesisValidator("node2", "D1", bytes([1]) * 64)),
        (GenesisDepartment("D1", "市数据局", "330100", "city", "", (account,)),),
        root_certificate,
    )


@given(st.binary(max_size=300))
def test_a_saved_genesis_loads_as_the_same_one(
    tmp_path_factory: pytest.TempPathFactory, root_certificate: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "genesis.json"
    genesis = make_genesis(root_certificate)
    save_genesis(path, genesis)
    assert load_genesis(path) == genesis


def test_the_file_is_readable_and_shows_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    save_genesis(path, make_genesis())
    text = path.read_text(encoding="utf-8")
    assert "市数据局" in text
    shown = json.loads(text)
    assert shown["hash"] == make_genesis().hash.hex()
    assert shown["parameters"]["block_interval_ms"] == 25
    assert shown["root_certificate"].startswith("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"chain_id": 7', '"chain_id": 8', "was changed"),
        ('"clerk"', '"clark"', "was changed"),
        ('"chain_id": 7', '"chain_id": "7"', "chain_id"),
        ('"chain_id": 7', '"chain": 7', "chain"),
        ('"block_interval_ms": 25', '"block_interval_ms": 0', "damaged"),
        ('"block_interval_ms": 25', '"block_intervals_ms": 25', "block_interval"),
        ("01010101", "0101010", "damaged"),
        ("01010101", "", "damaged"),
        ("-----BEGIN", "----BEGIN", "PEM"),
        ("01" * 64, "00" * 64, "key once"),
    ],
)
def test_a_damaged_or_changed_genesis_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "genesis.json"
    save_genesis(path, make_genesis())
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(GenesisFileError, match=expected) as caught:
        load_genesis(path)
    assert "genesis.json" in str(caught.value)


def test_a_missing_cut_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    with pytest.raises(GenesisFileError, match="cannot be read"):
        load_genesis(path)
    save_genesis(path, make_genesis())
    raw = path.read_bytes()
    for length in range(0, len(raw) - 2, 97):
        path.write_bytes(raw[:length])
        with pytest.raises(GenesisFileError, match="damaged"):
            load_genesis(path)
    path.write_bytes(b"\xff\xfe" + bytes(100))
    with pytest.raises(GenesisFileError, match="damaged"):
        load_genesis(path)
