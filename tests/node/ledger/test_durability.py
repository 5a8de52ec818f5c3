"""What is final stays: after SIGKILL, on a full disk, with a torn log; and damage is named instead of served."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts import anchors
from node.chain.block import block_id
from node.chain.state_tree import update_tree
from node.ledger.block_store import HEADER_TABLE
from node.ledger.ledger import Ledger
from node.ledger.storage import Storage, StorageError

SCRIPT = Path(__file__).with_name("endless_commits.py")


def start(folder: Path, file_limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(file_limit)], stdout=subprocess.PIPE, text=True
    )


class NoNodes:
    def read_node(self, path: str, version: int) -> bytes:
        raise AssertionError("a tree from nothing reads nothing")


def check_whole(network: Any, ledger: Ledger) -> None:
    """Every block follows its parent, its transactions are found, and the values make the state root of the head."""
    parent = network.genesis.hash
    count = 0
    for height in range(1, ledger.height + 1):
        header = ledger.header(height)
        assert header.parent_id == parent
        parent = block_id(header)
        assert ledger.certificate(height).block_id == parent
        count += len(ledger.sealed_block(height).body.transactions)
        assert len(ledger.receipts(height)) == len(ledger.sealed_block(height).body.transactions)
    assert parent == ledger.head_id
    values: dict[bytes, bytes | None] = dict(ledger.state().iterate(b""))
    tree = update_tree(NoNodes(), None, 0, values)
    assert tree is not None
    if ledger.head_header is not None:
        assert tree.root_hash == ledger.head_header.state_root
    assert sum(key.startswith(anchors.ANCHORS.prefix) for key in values) == count
    # And it goes on from there.
    height = ledger.height
    assert network.commit(ledger, network.anchors(-1 - height, 2)).header.height == height + 1


@pytest.mark.parametrize("stop_after", [1, 7, 23])
def test_killed_at_any_time_it_loses_nothing_final(network: Any, tmp_path: Path, stop_after: int) -> None:
    reported = 0
    for _ in range(2):
        process = start(tmp_path / "data")
        assert process.stdout is not None
        base = int(process.stdout.readline())
        assert base >= reported
        while reported < base + stop_after:
            reported = int(process.stdout.readline())
        process.kill()
        # Lines that were written before the kill count as well: each was printed after its commit.
        reported = max([reported, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        process.wait()
        process.stdout.close()
    ledger = network.open(tmp_path / "data", kept_heights=5)
    assert reported <= ledger.height <= reported + 1, "a block may have become final just before the kill"
    check_whole(network, ledger)
    ledger.close()


def test_a_full_disk_is_said_and_corrupts_nothing(network: Any, tmp_path: Path) -> None:
    process = start(tmp_path / "data", 300_000)
    output, _ = process.communicate(timeout=60)
    lines = output.splitlines()
    heights = [int(line) for line in lines if line.isdigit()]
    faults = [line for line in lines if not line.isdigit()]
    assert len(faults) == 2
    assert faults[0].startswith(f"fault at {heights[-1]}: ")
    assert "is the disk full?" in faults[0]
    assert "an earlier write failed; free some space" in faults[1]
    ledger = network.open(tmp_path / "data", kept_heights=5)
    assert ledger.height >= heights[-1] > 0
    check_whole(network, ledger)
    ledger.close()


def log_file(folder: Path) -> Path:
    return max(folder.glob("*.log"), key=lambda file: file.stat().st_size)


def test_a_torn_last_write_is_cut_off(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "data")
    for seed in range(3):
        network.commit(ledger, network.anchors(seed, 5))
    size_before = log_file(tmp_path / "data").stat().st_size
    network.commit(ledger, network.anchors(9, 5))
    ledger.close()
    size = log_file(tmp_path / "data").stat().st_size
    for cut in (1, 7, (size - size_before) // 2, size - size_before - 1, size - size_before):
        folder = tmp_path / f"cut {cut}"
        shutil.copytree(tmp_path / "data", folder)
        with log_file(folder).open("r+b") as log:
            log.truncate(size - cut)
        torn = network.open(folder)
        assert torn.height == 3
        check_whole(network, torn)
        torn.close()


def test_damage_to_final_blocks_is_named(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "data")
    for seed in range(3):
        network.commit(ledger, network.anchors(seed, 5))
    ledger.close()
    log = log_file(tmp_path / "data")
    raw = bytearray(log.read_bytes())
    raw[len(raw) // 2] ^= 1
    log.write_bytes(raw)
    with pytest.raises(StorageError, match=r"damaged.*the node fetches every block from its peers"):
        network.open(tmp_path / "data")


def test_a_head_without_its_block_is_damage(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "data")
    network.commit(ledger, [])
    ledger.close()
    storage = Storage(tmp_path / "data")
    storage.write([], [HEADER_TABLE + (1).to_bytes(6)])
    storage.close()
    with pytest.raises(StorageError, match="damaged: block 1 is not the one"):
        network.open(tmp_path / "data")


@pytest.mark.parametrize("head", [b"\xc1", b"\x90", b""])
def test_a_head_that_is_noise_is_damage(network: Any, tmp_path: Path, head: bytes) -> None:
    storage = Storage(tmp_path / "data")
    storage.write([(b"m", head)])
    storage.close()
    with pytest.raises(StorageError, match="damaged"):
        network.open(tmp_path / "data")


def test_one_folder_serves_one_process(network: Any, ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="another process uses this data folder"):
        network.open(tmp_path / "data")


def test_a_folder_that_cannot_be_made_is_named(network: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be opened"):
        network.open(tmp_path / "file" / "data")


def test_storage_iterates_one_table_in_order(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "data")
    storage.write([(b"a1", b"x"), (b"b2", b"y"), (b"b1", b"z"), (b"b\xff\xff", b"w"), (b"c", b"v")], [b"a1"])
    assert list(storage.iterate(b"b")) == [(b"b1", b"z"), (b"b2", b"y"), (b"b\xff\xff", b"w")]
    assert [key for key, _ in storage.iterate(b"b", b"2")] == [b"b2", b"b\xff\xff"]
    assert storage.get(b"a1") is None
    storage.close()
    with pytest.raises(StorageError, match="cannot be read"):
        storage.get(b"c")
    with pytest.raises(StorageError, match="cannot be read"):
        list(storage.iterate(b"c"))
    with pytest.raises(StorageError, match="cannot be written"):
        storage.write([(b"d", b"u")])


def test_a_database_without_the_file_that_names_its_parts_is_refused_and_not_begun_anew(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "ledger")
    storage.write([(b"key", b"value")])
    storage.close()
    (tmp_path / "ledger" / "CURRENT").rename(tmp_path / "CURRENT")
    before = sorted(path.name for path in (tmp_path / "ledger").iterdir())
    with pytest.raises(StorageError, match="lacks its CURRENT file"):
        Storage(tmp_path / "ledger")
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == before
    (tmp_path / "CURRENT").rename(tmp_path / "ledger" / "CURRENT")
    storage = Storage(tmp_path / "ledger")
    assert storage.get(b"key") == b"value"
    storage.close()


def test_a_database_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    for name in ("LOCK", "LOG", "MANIFEST-000001", "000001.dbtmp"):
        (folder / name).touch()
    Storage(folder).close()
