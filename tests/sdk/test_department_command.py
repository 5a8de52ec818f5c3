"""A department that joins later: its authority's key stays on its own machine, the root's and the governor's on theirs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import registry
from contracts.identifiers import uscc_check_character
from node.config import load_node_config
from node.genesis_file import load_genesis
from sdk import authority as authority_module
from sdk.joining import DepartmentRequest, load_request
from sdk.network import NetworkFolder, init_network
from sm_crypto import keystore, x509

Run = Callable[..., tuple[int, Any, str]]
EXAMPLE = Path(__file__).resolve().parents[2] / "network.toml"
CODE = "11990100MB9999999" + uscc_check_character("11990100MB9999999")
STATED = ("--code", CODE, "--name", "卫健委", "--region", "990100", "--level", "city")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> NetworkFolder:
    """The machine that keeps the root."""
    return init_network(EXAMPLE, tmp_path_factory.mktemp("root") / "net", iterations=1_000)


@pytest.fixture
def joining(founded: NetworkFolder, tmp_path: Path) -> Path:
    """The new department's machine: what is public of the network, and nothing else."""
    folder = tmp_path / "新部门"
    folder.mkdir()
    shutil.copy(founded.genesis, folder / "genesis.json")
    return folder


@pytest.fixture
def request_file(run: Run, joining: Path, tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    status, _, err = run("department", "request", path, "--network", joining, *STATED)
    assert status == 0, err
    return path


def test_a_department_joins_and_no_private_key_travels(
    run: Run, founded: NetworkFolder, joining: Path, request_file: Path, tmp_path: Path
) -> None:
    certificate_file = tmp_path / "department.crt.pem"
    asked = load_request(request_file, DepartmentRequest)
    status, out, err = run(
        "department", "certify", request_file, certificate_file, "--network", founded.folder, "--json"
    )
    assert status == 0, err
    assert (out["fingerprint"], out["code"], out["name"]) == (asked.fingerprint, CODE, "卫健委")
    # The root's machine knows nothing of the new key but its public part.
    assert not list((founded.folder / "authority").glob(f"{CODE}*"))
    status, out, err = run("department", "accept", certificate_file, "--network", joining, "--json")
    assert (status, out["code"]) == (0, CODE), err
    peers = [("--peer", f"{node.name}={node.p2p}") for node in founded.nodes]
    arguments = [argument for peer in peers for argument in peer]
    status, out, err = run(
        *("network", "add-node", "health1", "--network", joining, "--department", CODE),
        *("--p2p", "127.0.0.1:26800", "--http", "127.0.0.1:8700", *arguments, "--json"),
    )
    assert status == 0, err
    assert set(out["peers"]) == {node.name for node in founded.nodes}
    config = load_node_config(Path(out["config"]))
    assert {peer.name: peer.address for peer in config.peers} == {node.name: node.p2p for node in founded.nodes}
    chain = x509.load_certificates(Path(config.transport_certificate).read_bytes())
    root = x509.parse_certificate(load_genesis(Path(config.genesis)).root_certificate)
    x509.verify_chain(chain, [root], at_ms=chain[0].not_before_ms + 600_000)
    assert (chain[0].common_name, chain[1].organization_identifier) == ("health1", CODE)
    for secret in [*joining.rglob("*.key"), *joining.rglob("password"), *joining.rglob("*.holder-secret")]:
        assert secret.stat().st_mode & 0o777 == 0o600
        assert secret.parent.stat().st_mode & 0o777 == 0o700
    assert (joining / "accounts" / f"{CODE}.holder-secret").is_file()


def test_a_governor_enters_it_on_the_ledger(
    run: Run, node: Any, joining: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in's network has its own genesis.
    monkeypatch.setattr(authority_module, "load_network_genesis", lambda folder: node.chain.genesis)
    path = tmp_path / "request.json"
    assert run("department", "request", path, "--network", joining, *STATED, "--parent", "11990100MB0000002X")[0] == 0
    keystore.save_key(tmp_path / "governor.key", node.chain.governor, b"correct horse", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("correct horse\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    signer = ("--key", tmp_path / "governor.key", "--password-file", tmp_path / "password")
    status, _, err = run("department", "add", path, *signer)
    assert status == 0, err
    record = registry.view(node.chain.state, "members", "department", code=CODE)
    assert (record.name, record.region, record.level, record.parent) == (
        "卫健委",
        "990100",
        "city",
        "11990100MB0000002X",
    )
    assert "[DEPARTMENT_EXISTS]" in run("department", "add", path, *signer)[2]
    assert run("department", "suspend", CODE, "--reason", "核查", *signer)[0] == 0
    assert "已暂停 / suspended" in run("department", "show", CODE)[1]
    assert run("department", "resume", CODE, "--reason", "完成", *signer)[0] == 0
    assert "有效 / active" in run("department", "show", CODE)[1]


def test_asking_again_keeps_the_key(run: Run, joining: Path, request_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert run("department", "request", again, "--network", joining, *STATED)[0] == 0
    first, second = (load_request(path, DepartmentRequest) for path in (request_file, again))
    assert first.fingerprint == second.fingerprint
    assert "[FILE_EXISTS]" in run("department", "request", again, "--network", joining, *STATED)[2]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"--code": CODE[:-1] + "0"}, "USCC_CHECK_CHARACTER"),
        ({"--code": "../evil"}, "USCC_MALFORMED"),
        ({"--region": "99"}, "REGION_MALFORMED"),
        ({"--level": "planet"}, "VALUE_UNKNOWN"),
        ({"--parent": CODE}, "DEPARTMENT_CYCLE"),
        ({"--name": ""}, "TEXT_EMPTY"),
        ({"--name": "局" * 65}, "NAME_TOO_LONG"),
    ],
)
def test_what_the_ledger_would_not_take_is_told_before_a_key_is_made(
    run: Run, joining: Path, tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    given = dict(zip(STATED[::2], STATED[1::2], strict=True)) | changes
    arguments = [argument for pair in given.items() for argument in pair]
    status, _, err = run("department", "request", tmp_path / "r.json", "--network", joining, *arguments)
    assert (status, f"[{code}]" in err) == (1, True), err
    assert sorted(path.name for path in joining.iterdir()) == ["genesis.json"]


def test_a_certificate_of_another_key_or_network_is_not_kept(
    run: Run, founded: NetworkFolder, joining: Path, request_file: Path, tmp_path: Path
) -> None:
    assert "[NOT_A_NETWORK]" in run("department", "request", tmp_path / "r.json", "--network", tmp_path, *STATED)[2]
    assert "[ROOT_ABSENT]" in run("department", "certify", request_file, tmp_path / "c", "--network", joining)[2]
    stated = json.loads(request_file.read_text())
    for change, code in (({"name": "另一部门"}, "REQUEST_CHANGED"), ({"genesis_hash": "x"}, "REQUEST_INVALID")):
        changed = tmp_path / f"{code}.json"
        changed.write_text(json.dumps(stated | change))
        assert f"[{code}]" in run("department", "certify", changed, tmp_path / "c", "--network", founded.folder)[2]
    theirs = founded.folder / "authority" / "11990100MB0000002X.crt.pem"
    assert "[CERTIFICATE_OF_ANOTHER]" in run("department", "accept", theirs, "--network", joining)[2]
    stranger = tmp_path / "stranger.crt.pem"
    stranger.write_text(x509.issue_root("another", now_ms=1_790_000_000_000).certificate.pem)
    assert "[AUTHORITY_INVALID]" in run("department", "accept", stranger, "--network", joining)[2]
    assert not list((joining / "authority").glob("*.crt.pem"))
    # Without a certificate its authority makes no node.
    status, _, err = run(
        *("network", "add-node", "n", "--network", joining, "--department", CODE),
        *("--p2p", "127.0.0.1:1", "--http", "127.0.0.1:2", "--peer", "node1=127.0.0.1:3"),
    )
    assert (status, "[DEPARTMENT_UNKNOWN]" in err, "department request" in err) == (1, True, True)


@pytest.mark.parametrize("peer", ["node1", "node1=", "=127.0.0.1:3", "node 1=127.0.0.1:3", "node1=127.0.0.1:x"])
def test_a_peer_has_a_name_and_an_address(run: Run, founded: NetworkFolder, peer: str) -> None:
    status, _, err = run(
        *("network", "add-node", "n", "--network", founded.folder, "--department", "11990100MB0000002X"),
        *("--p2p", "127.0.0.1:1", "--http", "127.0.0.1:2", "--peer", peer),
    )
    assert (status, "node1=10.0.0.11:26656" in err) == (1, True)
    assert not (founded.folder / "n").exists()


def test_a_clerks_key_is_certified_to_sign_for_the_department(run: Run, founded: NetworkFolder, tmp_path: Path) -> None:
    account = next(account for account in founded.accounts if "issuer" in account.roles)
    chain = tmp_path / "clerk.chain.pem"
    asked = ("department", "person", account.key, chain, "--network", founded.folder, "--name", "窗口一")
    status, out, err = run(*asked, "--department", account.department, "--json")
    assert status == 0, err
    made = x509.load_certificates(chain.read_bytes())
    root = x509.parse_certificate(load_genesis(founded.genesis).root_certificate)
    x509.verify_chain(made, [root], at_ms=made[0].not_before_ms)
    assert made[0].common_name == out["name"] == "窗口一"
    assert made[0].public_key == keystore.load_public_key(account.key)
    assert (made[0].is_server, made[1].organization_identifier) == (False, account.department)
    status, _, err = run(*asked, "--department", account.department)
    assert (status, "FILE_EXISTS" in err) == (1, True)
    other = ("department", "person", account.key, tmp_path / "x.pem", "--network", founded.folder)
    status, _, err = run(*other, "--name", "名" * 65, "--department", account.department)
    assert (status, "NAME_INVALID" in err) == (1, True)
    status, _, err = run(*other, "--name", "窗口一", "--department", CODE)
    assert (status, "DEPARTMENT_UNKNOWN" in err) == (1, True)
