"""govnode ledger check: an answer, a height and field where something is damaged, and a status that scripts can rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plyvel
import pytest

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from node.config import load_node_config, read_password
from node.genesis_file import load_genesis
from node.ledger.ledger import Ledger
from node.process import LEDGER_FOLDER
from sdk.network import NetworkFolder, init_network
from sdk.trust import load_trust, save_trust
from sm_crypto.keystore import load_key
from tests.ports import describe_network

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def check(run: Run) -> Run:
    """Run `govnode ledger check --json` in this process."""
    return lambda *arguments: run("ledger", "check", *arguments, "--json")


@pytest.fixture
def made(tmp_path: Path) -> NetworkFolder:
    """A network at addresses that are free: the doctor asks a node that answers at its own."""
    return init_network(describe_network(tmp_path), tmp_path / "network", iterations=1_000)


def test_a_stopped_node_is_checked_and_damage_is_named(check: Run, made: NetworkFolder) -> None:
    config = made.nodes[0].config
    status, _, error = check("--config", config)
    assert status == 2
    assert "没有账本 / there is no ledger" in error

    data = config.parent / "data"
    Ledger.open(data / LEDGER_FOLDER, load_genesis(made.genesis)).close()
    status, report, _ = check("--config", config)
    assert (status, report["is_sound"], report["damage"]) == (0, True, None)
    status, report, _ = check("--config", config, "--trust", made.trust)
    assert status == 0
    assert {path.name for path in data.iterdir()} == {LEDGER_FOLDER, "last-signed"}

    database = plyvel.DB(str(data / LEDGER_FOLDER))
    key, value = next(database.iterator(prefix=b"v"))
    database.put(key, value + b"\0")
    database.close()
    status, report, _ = check("--config", config)
    assert (status, report["is_sound"], report["damage"]["field"]) == (1, False, "value")


def test_what_cannot_be_checked_ends_with_status_2(check: Run, made: NetworkFolder, tmp_path: Path) -> None:
    config = made.nodes[0].config
    ledger = Ledger.open(config.parent / "data" / LEDGER_FOLDER, load_genesis(made.genesis))
    try:
        status, _, error = check("--config", config)
    finally:
        ledger.close()
    assert status == 2
    assert "stop it first" in error
    assert check("--config", config, "--from", 9)[0] == 2
    assert check("--config", tmp_path / "absent.toml")[0] == 2
    assert check("--config", config, "--from", 1, "--trust", made.trust)[0] == 2
    trust = load_trust(made.trust)
    other = tmp_path / "other.json"
    save_trust(
        other,
        type(trust)(**{name: getattr(trust, name) for name in trust.__struct_fields__} | {"genesis_hash": "0" * 64}),
    )
    status, _, error = check("--config", config, "--trust", other)
    assert status == 2
    assert "another network" in error


@pytest.fixture
def joined(made: NetworkFolder, tmp_path: Path, join_by_snapshot: Callable[[Ledger, Path], None]) -> Path:
    """The settings of a stopped node whose ledger began from a snapshot of height 3."""
    genesis = load_genesis(made.genesis)
    keys = {}
    for node in made.nodes:
        settings = load_node_config(node.config)
        key = load_key(Path(settings.validator_key), read_password(settings))
        keys[key.public_key] = key
    whole = Ledger.open(tmp_path / "whole", genesis)
    members = genesis.validator_set().members
    for height in (1, 2, 3):
        block = whole.build_block([], whole.head_time_ms + 1_000, members[0].address)
        digest = vote_sign_digest(genesis.hash, VoteKind.PRECOMMIT, height, 0, block.block_id)
        signers = list(range(genesis.validator_set().quorum))
        signatures = [keys[members[index].public_key].sign(digest) for index in signers]
        whole.commit(block, CommitCertificate(height, 0, block.block_id, signers, signatures))
    data = made.nodes[0].config.parent / "data"
    data.mkdir(exist_ok=True)
    join_by_snapshot(whole, data / LEDGER_FOLDER)
    whole.close()
    return made.nodes[0].config


def test_of_a_joined_node_s_ledger_it_says_what_was_not_executed_again(check: Run, joined: Path) -> None:
    status, report, _ = check("--config", joined)
    assert status == 0
    assert (report["is_sound"], report["base_height"], report["executed"], report["blocks"]) == (True, 3, 0, 3)
    ended = subprocess.run(
        [sys.executable, "-m", "sdk.cli.main", "ledger", "check", "--config", str(joined)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0
    assert "账本自高度 3 的快照开始：没有重新执行区块" in ended.stdout
    assert "began from the snapshot of height 3: no block was executed again" in ended.stdout


def test_the_doctor_looks_at_a_joined_node_s_folder(run: Run, joined: Path) -> None:
    _, report, _ = run("doctor", "--config", joined, "--json")
    findings = {finding["code"]: finding for finding in report["findings"]}
    assert "3" in findings["NODE_STOPPED"]["zh"]
    assert "自高度 3 的快照开始" in findings["PARTIAL_HISTORY"]["zh"]
    assert "LEDGER_UNUSABLE" not in findings
