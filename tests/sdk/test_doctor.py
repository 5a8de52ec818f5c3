"""The doctor: from what is seen of a node to what an operator is told, and what the command makes of a real folder."""

from __future__ import annotations

import ast
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from contracts.accounts import address_of_key
from node.config import load_network_file, load_node_config
from node.genesis_file import load_genesis, save_genesis
from node.ledger.ledger import Ledger
from node.wire.away import AwayCode
from sdk import doctor_look
from sdk.doctor import DAY_MS, diagnose
from sdk.doctor_look import look
from sdk.doctor_seen import (
    CertificateSeen,
    FileFault,
    Finding,
    Level,
    NodeSeen,
    Observation,
    PeerSeen,
    StoredSeen,
    ValidatorSeen,
)
from sdk.network import NetworkFolder, init_network
from sm_crypto import x509
from sm_crypto.keystore import load_private_key, load_public_key
from tests.ports import describe_network

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, Any, str]]
NOW_MS = 1_780_000_000_000
VALIDATORS = tuple(ValidatorSeen(f"node{number}", f"部门{number}") for number in range(1, 5))
PEERS = tuple(PeerSeen(f"node{number}", True, "", None, 100, 0, 3, 200, "0.1.0") for number in range(2, 5))
NODE = NodeSeen("node1", "aa", 100, 100, NOW_MS - 1_000, 0, True, True, "", (0, 1, 2, 3), 0, VALIDATORS, PEERS, "0.1.0")
WELL = Observation(
    name="node1",
    now_ms=NOW_MS,
    genesis_hash="aa",
    empty_block_interval_ms=30_000,
    timeout_limit_ms=10_000,
    clock_precision_ms=500,
    free_bytes=50_000_000_000,
    total_bytes=100_000_000_000,
    certificates=(CertificateSeen("node1", NOW_MS + 900 * DAY_MS),),
    file_faults=(),
    node=NODE,
)
STORED = StoredSeen(100, "", "", False, (), False)


def seen(**changes: Any) -> Observation:
    return msgspec.structs.replace(WELL, **changes)


def node(**changes: Any) -> Observation:
    return seen(node=msgspec.structs.replace(NODE, **changes))


def peer(number: int, **changes: Any) -> tuple[PeerSeen, ...]:
    """The peers, one of them changed."""
    return tuple(
        msgspec.structs.replace(entry, **changes) if entry.name == f"node{number}" else entry for entry in PEERS
    )


def away(
    *numbers: int,
    reason: str = "cannot connect to 10.0.0.3:26656: Connection refused",
    code: AwayCode = AwayCode.NOT_REACHED,
) -> tuple[PeerSeen, ...]:
    return tuple(
        PeerSeen(entry.name, False, reason, code) if entry.name in {f"node{number}" for number in numbers} else entry
        for entry in PEERS
    )


def stored(**changes: Any) -> Observation:
    return seen(node=None, stored=msgspec.structs.replace(STORED, **changes))


STALLED = NOW_MS - 600_000


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (WELL, {"CHAIN_MOVES": "ok"}),
        (node(peers=away(3)), {"CHAIN_MOVES": "ok", "VALIDATOR_AWAY": "notice"}),
        (node(peers=away(3, 4)), {"QUORUM_MISSING": "action", "VALIDATOR_AWAY": "action"}),
        (node(peers=away(2, 3, 4)), {"ALONE": "action", "VALIDATOR_AWAY": "action"}),
        (node(peers=away(3, code=AwayCode.RULE_BROKEN)), {"CHAIN_MOVES": "ok", "PEER_DROPPED": "action"}),
        (node(head_time_ms=STALLED), {"CHAIN_STALLED": "action"}),
        (
            node(round=4, peers=tuple(msgspec.structs.replace(entry, round=4) for entry in PEERS)),
            {"CHAIN_STALLED": "action"},
        ),
        (node(round=3), {"CHAIN_MOVES": "ok"}),
        (node(is_stuck=True, voters=(0, 1, 2)), {"CHAIN_STALLED": "action", "VALIDATORS_SILENT": "action"}),
        (
            node(is_stuck=True, is_voting=False, abstention="no last-signed record"),
            {"CHAIN_STALLED": "action", "ABSTAINING": "action"},
        ),
        (
            node(head_time_ms=STALLED, voters=(0, 2, 3)),
            {"CHAIN_STALLED": "action", "VALIDATORS_SILENT": "action"},
        ),
        (
            node(head_time_ms=STALLED, peers=peer(2, round=9)),
            {"CHAIN_STALLED": "action", "PEER_IN_ANOTHER_ROUND": "notice"},
        ),
        (node(peers=peer(2, height=90)), {"CHAIN_MOVES": "ok", "PEER_BEHIND": "notice"}),
        (node(peers=peer(2, heard_ms_ago=30_000)), {"CHAIN_MOVES": "ok", "PEER_SILENT": "notice"}),
        (node(peers=peer(2, clock_offset_ms=-4_000)), {"CHAIN_MOVES": "ok", "PEER_CLOCK_WRONG": "action"}),
        (
            node(peers=tuple(msgspec.structs.replace(entry, clock_offset_ms=5_000) for entry in PEERS)),
            {"CHAIN_MOVES": "ok", "OWN_CLOCK_WRONG": "action"},
        ),
        (node(peers=peer(2, software_version="0.2.0")), {"CHAIN_MOVES": "ok", "PEER_RELEASE_DIFFERS": "notice"}),
        (node(target_height=400), {"CHAIN_MOVES": "ok", "CATCHING_UP": "notice"}),
        (node(target_height=400, head_time_ms=STALLED), {"CATCHING_UP": "notice"}),
        (
            node(target_height=400, head_time_ms=STALLED, sync_trouble="没有 / nobody has them"),
            {"CATCHING_UP": "notice", "SYNC_HELD_UP": "action"},
        ),
        (node(height=0, target_height=0, head_time_ms=STALLED, is_joining=True), {"JOINING": "notice"}),
        (node(base_height=70), {"CHAIN_MOVES": "ok", "PARTIAL_HISTORY": "ok"}),
        (
            node(is_voting=False, abstention="no last-signed record"),
            {"CHAIN_MOVES": "ok", "ABSTAINING": "notice"},
        ),
        (node(equivocations=1), {"CHAIN_MOVES": "ok", "EQUIVOCATION": "action"}),
        (node(offenders=("node3 (部门3)",)), {"CHAIN_MOVES": "ok", "EQUIVOCATION": "action"}),
        (seen(genesis_hash="bb"), {"CHAIN_MOVES": "ok", "GENESIS_DIFFERS": "action"}),
        (stored(), {"NODE_STOPPED": "action"}),
        (stored(height=None), {"NODE_STOPPED": "action"}),
        (stored(base_height=70), {"NODE_STOPPED": "action", "PARTIAL_HISTORY": "ok"}),
        (stored(is_validator=False), {"NODE_STOPPED": "notice"}),
        (
            stored(fault="属于另一个网络 / it is another network's", has_other_genesis=True),
            {"NODE_STOPPED": "action", "LEDGER_OF_ANOTHER_NETWORK": "action"},
        ),
        (stored(is_in_use=True), {"NODE_DOES_NOT_ANSWER": "action"}),
        (stored(fault="坏了 / it is damaged"), {"NODE_STOPPED": "action", "LEDGER_UNUSABLE": "action"}),
        (stored(taken_ports=("127.0.0.1:1",)), {"NODE_STOPPED": "action", "PORT_UNUSABLE": "action"}),
        (stored(abstention="both slots are damaged"), {"NODE_STOPPED": "action", "WILL_ABSTAIN": "notice"}),
        (stored(is_log_torn=True), {"NODE_STOPPED": "action", "LOG_TAIL_CUT": "ok"}),
        (seen(free_bytes=500_000_000), {"CHAIN_MOVES": "ok", "DISK_LOW": "action"}),
        (seen(free_bytes=5_000_000_000), {"CHAIN_MOVES": "ok", "DISK_LOW": "notice"}),
        (
            seen(certificates=(CertificateSeen("node1", NOW_MS - 1),)),
            {"CHAIN_MOVES": "ok", "CERTIFICATE_EXPIRED": "action"},
        ),
        (
            seen(certificates=(CertificateSeen("数据局", NOW_MS + 20 * DAY_MS),)),
            {"CHAIN_MOVES": "ok", "CERTIFICATE_EXPIRES": "action"},
        ),
        (
            seen(certificates=(CertificateSeen("数据局", NOW_MS + 60 * DAY_MS),)),
            {"CHAIN_MOVES": "ok", "CERTIFICATE_EXPIRES": "notice"},
        ),
        (
            seen(file_faults=(FileFault("VALIDATOR_KEY_UNUSABLE", "口令不对 / wrong password"),)),
            {"CHAIN_MOVES": "ok", "VALIDATOR_KEY_UNUSABLE": "action"},
        ),
    ],
)
def test_what_is_seen_leads_to_what_is_told(observation: Observation, expected: dict[str, str]) -> None:
    findings = diagnose(observation)
    assert {finding.code: finding.level.value for finding in findings} == expected
    for finding in findings:
        assert finding.zh
        assert finding.en.isascii() or "部门" in finding.en or "数据局" in finding.en
        assert bool(finding.todo_zh) == bool(finding.todo_en)
        assert finding.todo_zh or finding.level is not Level.ACTION


@pytest.mark.parametrize("code", AwayCode)
def test_whatever_keeps_a_validator_away_is_told_with_the_values_and_what_to_do(code: AwayCode) -> None:
    reason = "its genesis is aa, this node's bb: one of them belongs to another network"
    found = [entry for entry in diagnose(node(peers=away(3, reason=reason, code=code))) if "node3" in entry.en]
    assert len(found) == 1
    is_waited_for = code in {AwayCode.NOT_REACHED, AwayCode.LOST}
    assert found[0].level is (Level.NOTICE if is_waited_for else Level.ACTION)
    assert "node3（部门3）" in found[0].zh
    assert reason in found[0].zh
    assert reason in found[0].en
    assert found[0].todo_zh


def test_the_codes_of_what_differs_name_what_differs() -> None:
    found = {code: diagnose(node(peers=away(3, code=code)))[0].code for code in AwayCode}
    assert found[AwayCode.GENESIS_DIFFERS] == "PEER_GENESIS_DIFFERS"
    assert found[AwayCode.PARAMETERS_DIFFER] == "PEER_PARAMETERS_DIFFER"
    assert found[AwayCode.CHAIN_DIFFERS] == "PEER_CHAIN_DIFFERS"
    assert found[AwayCode.VERSION_DIFFERS] == "PEER_VERSION_DIFFERS"
    assert found[AwayCode.CERTIFICATE_REFUSED] == "PEER_CERTIFICATE_REFUSED"
    assert found[AwayCode.TLS_FAILED] == "PEER_TLS_FAILED"


def test_an_observer_that_differs_is_told_but_presses_nobody_and_one_that_is_down_is_not() -> None:
    other = PeerSeen("observer1", False, "its genesis is aa", AwayCode.GENESIS_DIFFERS)
    findings = diagnose(node(peers=(*PEERS, other)))
    assert {entry.code: entry.level.value for entry in findings} == {
        "CHAIN_MOVES": "ok",
        "PEER_GENESIS_DIFFERS": "notice",
    }
    down = PeerSeen("observer1", False, "cannot connect", AwayCode.NOT_REACHED)
    assert [entry.code for entry in diagnose(node(peers=(*PEERS, down)))] == ["CHAIN_MOVES"]


def test_a_clock_is_told_with_the_way_it_is_wrong() -> None:
    fast = diagnose(node(peers=peer(2, clock_offset_ms=4_000)))[0]
    assert "node2 的时钟比本机快 4000 毫秒" in fast.zh
    behind = tuple(msgspec.structs.replace(entry, clock_offset_ms=5_000) for entry in PEERS)
    own = diagnose(node(peers=behind))[0]
    assert "本机时钟比 3 个节点慢约 5000 毫秒" in own.zh
    assert "slow" in own.en


def test_whoever_is_missing_is_named_with_the_department_and_what_presses_comes_first() -> None:
    findings = diagnose(node(peers=away(3, 4)))
    assert findings[0].code == "QUORUM_MISSING"
    assert "2 of 4" in findings[0].en
    for number in (3, 4):
        assert f"node{number} (部门{number})" in findings[0].en
    assert all("node2" not in finding.en for finding in findings)
    listed = diagnose(node(peers=PEERS[:2]))
    assert "not in [[peers]]" in next(entry.en for entry in listed if entry.code == "VALIDATOR_AWAY")


def test_too_few_here_is_not_told_as_silence_of_those_that_are() -> None:
    assert "VALIDATORS_SILENT" not in {
        entry.code for entry in diagnose(node(peers=away(3, 4), voters=(), is_stuck=True))
    }


def test_where_every_peer_refuses_for_the_same_reason_that_is_said_at_once() -> None:
    first = diagnose(node(peers=away(2, 3, 4, reason="its genesis is aa", code=AwayCode.GENESIS_DIFFERS)))[0]
    assert (first.code, first.level) == ("ALONE", Level.ACTION)
    assert "原因都是：创世不同" in first.zh
    assert "GENESIS_DIFFERS" in first.en
    assert "genesis.json" in first.todo_en


def test_an_observer_s_wrong_clock_is_no_matter_for_the_chain() -> None:
    other = msgspec.structs.replace(PEERS[0], name="observer1", clock_offset_ms=9_000)
    found = {entry.code: entry for entry in diagnose(node(peers=(*PEERS, other)))}
    assert found["PEER_CLOCK_WRONG"].level is Level.NOTICE
    assert "voted down" not in found["PEER_CLOCK_WRONG"].en


def test_why_a_validator_abstains_is_said_in_each_language_by_itself() -> None:
    reason = "没有签名记录 / no last-signed record"
    for observation in (node(is_voting=False, abstention=reason), stored(abstention=reason)):
        found = next(entry for entry in diagnose(observation) if "ABSTAIN" in entry.code)
        assert "没有签名记录" in found.zh
        assert "record" not in found.zh
        assert found.en.endswith(": no last-signed record")


def test_offenders_on_the_chain_are_named() -> None:
    found = next(entry for entry in diagnose(node(offenders=("node3 (部门3)",))) if entry.code == "EQUIVOCATION")
    assert "node3 (部门3)" in found.zh
    assert "node3 (部门3)" in found.en


@pytest.fixture
def made(tmp_path: Path) -> NetworkFolder:
    return init_network(describe_network(tmp_path), tmp_path / "network", iterations=1_000)


def test_a_stopped_node_s_folder_is_looked_at_and_left_as_it_is(run: Run, made: NetworkFolder) -> None:
    config = made.nodes[0].config
    data, keys = config.parent / "data", config.parent / "keys"
    Ledger.open(data / "ledger", load_genesis(made.genesis)).close()
    (data / "consensus.log").write_bytes(b"torn")
    status, report, _ = run("doctor", "--config", config, "--json")
    codes = {finding["code"]: finding["level"] for finding in report["findings"]}
    assert codes["NODE_STOPPED"] == "action"
    assert (status, report["needs_action"]) == (1, True)
    assert set(codes) <= {"NODE_STOPPED", "LOG_TAIL_CUT", "DISK_LOW"}
    assert (data / "consensus.log").read_bytes() == b"torn"

    (keys / "password").write_text("wrong\n")
    (data / "last-signed").unlink()
    host, _, port = made.nodes[0].p2p.rpartition(":")
    with socket.create_server((host, int(port))):
        status, report, _ = run("doctor", "--config", config, "--json")
    codes = {finding["code"]: finding["level"] for finding in report["findings"]}
    assert status == 1
    assert {"VALIDATOR_KEY_UNUSABLE", "TRANSPORT_KEY_UNUSABLE", "PORT_UNUSABLE", "WILL_ABSTAIN"} <= set(codes)
    assert not (data / "last-signed").exists()

    (keys / "password").chmod(0o644)
    status, text, _ = run("doctor", "--config", config)
    assert status == 1
    assert "PASSWORD_UNUSABLE" in text
    assert "chmod 600" in text


def test_a_key_that_the_ledger_knows_as_another_node_is_told(made: NetworkFolder) -> None:
    settings = load_node_config(made.nodes[0].config)
    key = load_public_key(Path(settings.validator_key))
    own = {"name": "node1", "department": made.nodes[0].department, "address": "0x" + address_of_key(key).hex()}
    other = {"name": "node1", "department": "x", "address": "0x" + bytes(20).hex()}
    assert doctor_look._look_at_name(settings, [other, own]) == []
    for changed in ({"name": "node9"}, {"department": "11990100MB00000031"}):
        (fault,) = doctor_look._look_at_name(settings, [other, own | changed])
        assert fault.code == "REGISTERED_OTHERWISE"
        assert next(iter(changed.values())) in fault.text
        (told,) = [
            one for one in diagnose(msgspec.structs.replace(WELL, file_faults=(fault,))) if one.code == fault.code
        ]
        assert told.level is Level.ACTION
        assert "withdraw the candidate" in told.todo_en


def test_where_there_is_nothing_to_look_at_the_status_is_2(run: Run, tmp_path: Path, made: NetworkFolder) -> None:
    status, _, error = run("doctor", "--config", tmp_path / "absent.toml", "--json")
    assert status == 2
    assert "UNSEEN" in error
    made.genesis.write_text("{}")
    assert run("doctor", "--config", made.nodes[0].config)[0] == 2


def codes_of(config: Path) -> dict[str, Finding]:
    return {finding.code: finding for finding in diagnose(look(config))}


def test_whatever_is_missing_or_wrong_in_a_folder_is_told_with_what_to_do(
    made: NetworkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made.nodes[0].config
    data, keys = config.parent / "data", config.parent / "keys"
    Ledger.open(data / "ledger", load_genesis(made.genesis)).close()
    assert set(codes_of(config)) <= {"NODE_STOPPED", "DISK_LOW"}

    key = (keys / "validator.key").read_bytes()
    (keys / "validator.key").unlink()
    assert "备份" in codes_of(config)["VALIDATOR_KEY_UNUSABLE"].todo_zh
    (keys / "validator.key").write_bytes(key)
    (keys / "validator.key").chmod(0o600)

    certificate = (keys / "transport.crt.pem").read_text("ascii")
    for days, level in ((20, Level.ACTION), (60, Level.NOTICE)):
        (keys / "transport.crt.pem").write_text(certificate_that_ends_in(days, made, 0), "ascii")
        found = codes_of(config)["CERTIFICATE_EXPIRES"]
        assert found.level is level
        assert f"{days} days" in found.en or f"{days - 1} days" in found.en
    (keys / "transport.crt.pem").write_text(certificate_that_ends_in(-1, made, 0), "ascii")
    assert codes_of(config)["CERTIFICATE_EXPIRED"].level is Level.ACTION
    (keys / "transport.crt.pem").write_text(certificate, "ascii")

    genesis = load_genesis(made.genesis)
    kept = made.genesis.read_bytes()
    save_genesis(made.genesis, msgspec.structs.replace(genesis, network_name="另一个网络"))
    found = codes_of(config)["LEDGER_OF_ANOTHER_NETWORK"]
    assert genesis.hash.hex() in found.zh
    assert "不要删除" in found.todo_zh
    made.genesis.write_bytes(kept)

    data.rename(data.with_name("elsewhere"))
    assert codes_of(config)["WILL_ABSTAIN"].level is Level.NOTICE
    assert not data.exists()
    data.with_name("elsewhere").rename(data)

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=10**11, free=5 * 10**8))
    assert codes_of(config)["DISK_LOW"].level is Level.ACTION


def certificate_that_ends_in(days: int, made: NetworkFolder, index: int) -> str:
    """A node's certificate chain of which the node's own part ends after so many days from now."""
    entry = load_network_file(ROOT / "network.toml").nodes[index]
    keys, folder = made.nodes[index].config.parent / "keys", made.folder / "authority"
    transport = load_private_key(keys / "transport.key", (keys / "password").read_bytes().strip())
    authority = x509.Authority(
        x509.load_certificates((folder / f"{entry.department}.crt.pem").read_bytes())[0],
        load_private_key(folder / f"{entry.department}.key", (folder / "password").read_bytes().strip()),
    )
    made_ms = time.time_ns() // 1_000_000 + (days - x509.LEAF_DAYS) * DAY_MS
    return x509.issue_node(authority, entry.name, transport.public_key, now_ms=made_ms).pem + authority.certificate.pem


def told_codes() -> set[str]:
    """Every code in the doctor's sources: of a finding, of what keeps a peer away, of a file that cannot be used."""
    found: set[str] = set()
    for path in (ROOT / "sdk").glob("doctor*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                place = {"Finding": 1, "_Advice": 0, "FileFault": 0}.get(call.func.id)
                if place is not None:
                    constants = (node for node in ast.walk(call.args[place]) if isinstance(node, ast.Constant))
                    found |= {str(node.value) for node in constants}
    return found


@pytest.mark.parametrize("guide", ["operating.md", "operating.zh-CN.md"])
def test_the_operating_guide_says_of_every_code_what_to_do_and_of_no_other(guide: str) -> None:
    text = (ROOT / "docs" / guide).read_text("utf-8")
    section = next(part for part in text.split("\n## ") if ": doctor" in part or "：doctor" in part)
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+) \|$", section, re.MULTILINE)
    assert {code for code, _ in rows} == told_codes()
    assert all(len(advice) > 5 for _, advice in rows)
