"""A fifth node becomes a validator by its own word once a governor named it, is needed and votes, and goes on as observer when removed."""

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import department_key
from node.driver.last_signed import FILE_NAME as LAST_SIGNED
from sdk.client import Client
from sdk.proofs import export_proof, verify_proof_file

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"
NAME = "node5"


@pytest.fixture(scope="module")
def fifth(running_network: Any, make_fifth: Callable[[str], Any]) -> Iterator[Any]:
    running_network.heal()
    with (made := make_fifth(NAME)).supervisor:
        yield made


def anchor(network: Any, index: int = 0) -> int:
    with network.client("land-clerk", index) as client:
        return int(client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="第五个").height)


def voters(network: Any, index: int = 0) -> list[str]:
    with network.client(index=index) as client:
        return [entry["name"] for entry in client.rpc("gov_getValidators")]


def signers(network: Any, height: int, members: list[str]) -> set[str]:
    """Whose seals the certificate of a block carries; `members` decided it."""
    with network.client() as client:
        block = client.rpc("gov_getBlock", height=height)
    return {members[index] for index in block["signers"]}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where proofs from before, between and after the two changes are kept."""
    return tmp_path_factory.mktemp("proofs")


def keep_proof(network: Any, path: Path) -> None:
    with network.client() as client:
        path.write_bytes(export_proof(client, department_key(LAND)))


def test_a_named_node_joins_by_its_own_word_and_then_the_network_stands_on_its_vote(
    network: Any, fifth: Any, proofs: Path
) -> None:
    governor = network.account_options("data-bureau-governor")
    keep_proof(network, proofs / "before.json")
    fifth.wait_for(anchor(network))
    assert fifth.status()["is_validator"] is False
    key = fifth.added["validator_public_key"]
    network.run("validator", "add", NAME, "--department", LAND, "--public-key", key, *governor)
    network.wait(lambda: NAME in voters(network), "the node's own confirmation")
    network.wait(lambda: fifth.status()["is_voting"], "the fifth to vote")
    with network.client() as client:
        assert client.view("members", "candidates") == []
    # Of five, four must vote: with one away, no block is without the fifth one's seal.
    members = voters(network)
    network.supervisor.kill("node4")
    height = anchor(network)
    assert signers(network, height, members) == {*network.names, NAME} - {"node4"}
    keep_proof(network, proofs / "between.json")
    network.heal()


def test_a_removed_validator_is_needed_no_more_and_follows_without_voting(
    network: Any, fifth: Any, proofs: Path
) -> None:
    governor = network.account_options("data-bureau-governor")
    removed = network.run("validator", "remove", NAME, "--reason", "设备退役", *governor)
    network.wait_until_level(removed["height"])
    assert sorted(voters(network)) == network.names
    fifth.wait_for(anchor(network))
    found = fifth.status()
    assert (found["is_validator"], found["is_voting"], found["validator_count"]) == (False, False, 4)
    record = (fifth.folder / "data" / LAST_SIGNED).read_bytes()
    height = anchor(network, 1)
    fifth.wait_for(height)
    assert (fifth.folder / "data" / LAST_SIGNED).read_bytes() == record, "it signed nothing more"
    with Client(fifth.added["url"]) as client:
        block = client.rpc("gov_getBlock", height=height)
    assert {(block["id"], block["state_root"])} == network.roots(height)
    members = voters(network)
    fifth.supervisor.kill(NAME)
    assert len(signers(network, anchor(network), members)) >= 3, "four go on as four"
    keep_proof(network, proofs / "after.json")


def test_proofs_from_before_between_and_after_hold_by_the_founding_trust_file(network: Any, proofs: Path) -> None:
    heights = []
    for name, changes in (("before", 0), ("between", 1), ("after", 2)):
        path = proofs / f"{name}.json"
        walked = len(json.loads(path.read_bytes())["walk"])
        verdict = verify_proof_file(path, None, network.made.trust)
        assert (verdict.is_accepted, verdict.code) == (True, "RECORDED"), verdict
        assert walked >= changes, "earlier tests may have changed the validators too"
        heights.append((verdict.height, walked))
    assert heights == sorted(set(heights))
    assert len({walked for _, walked in heights}) == 3
