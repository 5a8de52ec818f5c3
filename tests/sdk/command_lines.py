"""Departments of a hand-made chain at their command lines: what the tests of shares and of products have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contracts.data_sharing.resources import ResourceDescription
from contracts.identifiers import uscc_check_character
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import HandMadeChain, StandInNode
from tests.sdk.persons.conftest import add_account

Run = Callable[..., tuple[int, Any, str]]
ARBITER = "11990100MB0000005" + uscc_check_character("11990100MB0000005")
"""A third department, whose governor is no party of what the two others share."""


class CommandLines:
    """Accounts that call the commands of one group, and the ledger that they see."""

    group: ClassVar[str]

    def __init__(self, run: Run, node: StandInNode, folder: Path) -> None:
        self.run, self.chain, self.folder = run, node.chain, folder

    def do(self, who: str, *words: Any) -> dict[str, Any]:
        """Return what a command prints that has to succeed."""
        status, out, err = self.run(self.group, *words, "--key", self.folder / f"{who}.key", "--json")
        assert status == 0, err
        found: dict[str, Any] = out
        return found

    def refuse(self, code: str, who: str, *words: Any) -> None:
        """Return if a command fails for this reason."""
        status, out, err = self.run(self.group, *words, "--key", self.folder / f"{who}.key", "--json")
        assert status != 0
        assert code in f"{out}{err}", (out, err)


def add_arbiter(chain: HandMadeChain) -> PrivateKey:
    """Add the third department and return the key of its governor."""
    place = {"region": "990100", "level": "city", "parent": ""}
    chain.call(chain.governor, "members", "add_department", code=ARBITER, name="数据局", **place)
    return add_account(chain, ARBITER, "治理", "governor")


def sit_down(
    node: StandInNode,
    keys: Mapping[str, PrivateKey],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    described: ResourceDescription,
) -> None:
    """Put the clerk's, the consumer's and more keys into a folder, name the node, and publish a resource."""
    chain = node.chain
    for who, key in {"clerk": chain.clerk, "consumer": chain.consumer, **keys}.items():
        save_key(folder / f"{who}.key", key, b"correct horse", iterations=1_000)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text("correct horse\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(password))
    chain.call(chain.clerk, "catalogue", "publish", resource=described, replaces=0)
