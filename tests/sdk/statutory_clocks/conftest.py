"""What the tests of calendars and terms share: a chain made by hand, and its governor at the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_crypto.keystore import save_key
from tests.hand_made_chain import chain, node, run

__all__ = ["chain", "node", "run"]


@pytest.fixture
def governor(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    save_key(tmp_path / "governor.key", node.chain.governor, b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(tmp_path / "governor.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(tmp_path / "password"))
    return node
