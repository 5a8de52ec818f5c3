"""A new account in two steps, on two machines: its holder's request, and an administrator who submits it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import load_account
from sm_crypto.keystore import load_public_key, save_key
from sm_crypto.sm2 import PrivateKey

Run = Callable[..., tuple[int, Any, str]]
DEPARTMENT, CONSUMER = "11990100MB0000002X", "11990100MB00000031"


@pytest.fixture
def governor(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The governor's machine: its key, its password, and a node to talk to."""
    folder = tmp_path / "governor"
    folder.mkdir()
    save_key(folder / "governor.key", node.chain.governor, b"correct horse", iterations=1_000)
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("correct horse\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(folder / "password"))
    return ("--key", folder / "governor.key")


@pytest.fixture
def holder(run: Run, governor: Any, tmp_path: Path, trust_path: Path) -> Callable[..., Path]:
    """Make a request on the holder's machine with these options in place of the usual ones; return its file."""
    key = tmp_path / "holder.key"
    # The password of the governor's machine opens it too; its rounds are not what is tested here.
    save_key(key, PrivateKey.generate(), b"correct horse", iterations=1_000)

    def ask(name: str, **options: object) -> Path:
        given = {"--department": CONSUMER, "--name": "新窗口", "--role": "requester", "--trust": trust_path} | options
        path = tmp_path / name
        arguments = [argument for pair in given.items() for argument in pair]
        status, _, err = run("account", "request", path, *arguments, "--key", key, "--json")
        assert status == 0, err
        return path

    return ask


@pytest.mark.parametrize("role", ["requester", "deployer"])
def test_a_holder_asks_and_a_governor_registers(
    run: Run, node: Any, governor: Any, holder: Callable[..., Path], tmp_path: Path, role: str
) -> None:
    request = holder("request.json", **{"--role": role})
    public_key = load_public_key(tmp_path / "holder.key")
    # What travels is public: nothing of the key file is in it but the public key.
    kept = json.loads((tmp_path / "holder.key").read_text())
    text = request.read_text()
    assert kept["public_key"] in text
    assert not any(kept[field] in text for field in ("sealed", "salt", "nonce"))
    status, out, err = run("account", "add", request, *governor, "--json")
    assert status == 0, err
    account = load_account(node.chain.state, bytes.fromhex(out["address"].removeprefix("0x")))
    assert account is not None
    assert (account.public_key, account.department, account.name, account.roles) == (
        public_key,
        CONSUMER,
        "新窗口",
        (role,),
    )
    status, text, _ = run("account", "show", out["address"])
    assert (status, "有效 / active" in text) == (0, True)
    assert run("account", "remove", out["address"], "--reason", "离职", *governor)[0] == 0
    assert "已注销 / removed" in run("account", "show", out["address"])[1]


def test_a_changed_request_goes_no_further(run: Run, node: Any, governor: Any, holder: Callable[..., Path]) -> None:
    request = holder("request.json")
    height = node.chain.height
    stated = json.loads(request.read_text())
    for field, value, code in (
        ("department", DEPARTMENT, "REQUEST_CHANGED"),
        ("roles", ["auditor"], "REQUEST_CHANGED"),
        ("name", "", "REQUEST_CHANGED"),
        ("public_key", "00" * 64, "REQUEST_CHANGED"),
        ("signature", "00" * 64, "REQUEST_CHANGED"),
        ("signature", "00", "REQUEST_INVALID"),
        ("format", "govnode-department-request/1", "REQUEST_INVALID"),
        ("extra", 1, "REQUEST_INVALID"),
    ):
        request.write_text(json.dumps(stated | {field: value}))
        status, _, err = run("account", "add", request, *governor)
        assert (status, f"[{code}]" in err) == (1, True), err
    request.write_bytes(b"[" * 20_000)
    assert "[FILE_TOO_LARGE]" in run("account", "add", request, *governor)[2]
    request.write_bytes(b"[" * 10_000)
    assert "[REQUEST_INVALID]" in run("account", "add", request, *governor)[2]
    assert node.chain.height == height


def test_a_request_for_another_network_is_told_apart(
    run: Run, governor: Any, holder: Callable[..., Path], tmp_path: Path, trust_path: Path
) -> None:
    other = json.loads(trust_path.read_text()) | {"genesis_hash": "07" * 32}
    path = tmp_path / "other-trust.json"
    path.write_text(json.dumps(other))
    status, _, err = run("account", "add", holder("other.json", **{"--trust": path}), *governor)
    assert (status, "[OTHER_NETWORK]" in err, "07" * 32 in err) == (1, True, True)


def test_a_request_overwrites_nothing_and_names_known_roles(
    run: Run, governor: Any, holder: Callable[..., Path], tmp_path: Path, trust_path: Path
) -> None:
    request = holder("request.json")
    before = request.read_bytes()
    given = ("--department", CONSUMER, "--name", "x", "--trust", trust_path, "--key", tmp_path / "holder.key")
    status, _, err = run("account", "request", request, "--role", "issuer", *given)
    assert (status, "[FILE_EXISTS]" in err, request.read_bytes()) == (1, True, before)
    status, _, err = run("account", "request", tmp_path / "new.json", "--role", "king", *given)
    assert (status, "recorder" in err, (tmp_path / "new.json").exists()) == (2, True, False)
