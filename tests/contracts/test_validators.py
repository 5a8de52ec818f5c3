"""Changes of the validator set: governors name candidates, a candidate joins by its own word, governors remove."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.validators import MAX_VALIDATORS as CONSENSUS_MAX_VALIDATORS
from contracts import registry
from contracts.abi import decode_error
from contracts.members import may_send
from contracts.recent_blocks import RECENT_BLOCK_IDS, load_block_id, save_block_id
from contracts.validator_sets import MAX_CANDIDATES, MAX_VALIDATORS, ValidatorRecord, load_validators, save_validators
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3


class Voter:
    """A validator's key, as a sender without an account."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = PrivateKey.from_bytes(b"\0" + sm3(b"voter " + name.encode())[1:])
        self.public_key = self.key.public_key
        self.address = sm3(self.public_key)[-20:]

    def record(self, department: str) -> ValidatorRecord:
        return ValidatorRecord(self.address, self.public_key, self.name, department)


def block_id(height: int) -> bytes:
    return sm3(b"block %d" % height)


def add(bench: Any, voter: Voter, **changes: Any) -> dict[str, Any]:
    return {"department": bench.land_bureau, "name": voter.name, "public_key": voter.public_key} | changes


def follow(bench: Any) -> int:
    """Write the id of the block before the coming call's, as the ledger does; return its height."""
    height: int = bench.calls
    save_block_id(bench.state, height, block_id(height))
    return height


def confirm(bench: Any, voter: Voter, known_height: int, **changes: Any) -> Any:
    arguments = {"height": known_height, "block_id": block_id(known_height)} | changes
    return bench.execute(voter.address, *registry.encode_call("members", "confirm_validator", **arguments))


def join(bench: Any, voter: Voter) -> None:
    bench.accept(bench.governor, "members", "add_validator", **add(bench, voter))
    result = confirm(bench, voter, follow(bench))
    assert result.refusal is None, decode_error(result.output)


@pytest.fixture
def four(bench: Any) -> Any:
    """A bench whose network was founded by four validators."""
    bench.founders = [Voter(f"n{index}") for index in range(4)]
    save_validators(bench.state, [voter.record(bench.data_bureau) for voter in bench.founders], 1)
    return bench


def test_a_candidate_joins_by_its_own_word(four: Any) -> None:
    new = Voter("new")
    assert not may_send(four.state, new.address)
    result = four.accept(four.governor, "members", "add_validator", **add(four, new))
    assert registry.decode_log(result.logs[0]).event == "CandidateAdded"
    assert may_send(four.state, new.address)
    assert may_send(four.state, four.issuer.address)
    (candidate,) = four.view("members", "candidates")
    assert (candidate.address, candidate.department, candidate.added_height) == (new.address, four.land_bureau, 1)
    assert new.address not in [record.address for record in load_validators(four.state)]
    result = confirm(four, new, follow(four))
    assert result.refusal is None, decode_error(result.output)
    joined = registry.decode_log(result.logs[0])
    assert (joined.event, joined.fields["first_height"]) == ("ValidatorJoined", 3)
    assert [record.name for record in four.view("members", "validators")].count("new") == 1
    assert len(four.view("members", "validators_at", height=2)) == 4
    assert len(four.view("members", "validators_at", height=3)) == 5
    assert (four.view("members", "candidates"), may_send(four.state, new.address)) == ((), False)
    assert confirm(four, new, follow(four)).refusal == "CANDIDATE_UNKNOWN"


def test_case_22_who_never_followed_the_chain_does_not_join(four: Any) -> None:
    new, stranger = Voter("new"), Voter("stranger")
    four.calls = 6
    old = follow(four)
    four.accept(four.governor, "members", "add_validator", **add(four, new))
    height = follow(four)
    for changes, refusal in (
        ({"block_id": bytes(32)}, "BLOCK_UNKNOWN"),
        ({"block_id": block_id(height + 1)}, "BLOCK_UNKNOWN"),
        ({"height": height + 1, "block_id": block_id(height)}, "BLOCK_UNKNOWN"),
        ({"height": height + RECENT_BLOCK_IDS}, "BLOCK_UNKNOWN"),
        ({"height": 2**64 - 1}, "BLOCK_UNKNOWN"),
        # From before it was named: it may have stopped following since.
        ({"height": old, "block_id": block_id(old)}, "BLOCK_TOO_OLD"),
    ):
        assert confirm(four, new, height, **changes).refusal == refusal
    assert confirm(four, stranger, height).refusal == "CANDIDATE_UNKNOWN"
    # Neither does a governor's word make it one.
    assert confirm(four, four.governor, height).refusal == "CANDIDATE_UNKNOWN"
    four.accept(four.governor, "members", "suspend_department", code=four.land_bureau, reason="核查")
    assert confirm(four, new, height).refusal == "DEPARTMENT_SUSPENDED"
    assert len(load_validators(four.state)) == 4


def test_one_change_a_block(four: Any) -> None:
    one, two = Voter("one"), Voter("two")
    for voter in (one, two):
        four.accept(four.governor, "members", "add_validator", **add(four, voter))
    height = follow(four)
    four.calls = height
    assert confirm(four, one, height).refusal is None
    four.calls = height
    assert confirm(four, two, height).refusal == "SET_CHANGED"
    four.calls = height
    removal = {"address": four.founders[0].address, "reason": "退出"}
    assert four.call(four.governor, "members", "remove_validator", **removal).refusal == "SET_CHANGED"
    assert confirm(four, two, height).refusal is None
    assert len(load_validators(four.state)) == 6


def test_only_a_governor_names_withdraws_and_removes(four: Any) -> None:
    for account in (four.administrator, four.auditor, four.issuer):
        four.refuse("ROLE_MISSING", account, "members", "add_validator", **add(four, Voter("x")))
        address = four.founders[0].address
        four.refuse("ROLE_MISSING", account, "members", "remove_validator", address=address, reason="x")
        four.refuse("ROLE_MISSING", account, "members", "withdraw_candidate", address=address, reason="x")


def test_what_makes_no_candidate(four: Any) -> None:
    one = Voter("one")
    four.accept(four.governor, "members", "add_validator", **add(four, one))
    for code, arguments in (
        ("VALIDATOR_EXISTS", add(four, one)),
        ("VALIDATOR_EXISTS", add(four, one, name="other")),
        ("VALIDATOR_EXISTS", add(four, Voter("two"), name="one")),
        ("VALIDATOR_EXISTS", add(four, Voter("two"), name="n0")),
        ("VALIDATOR_EXISTS", add(four, four.founders[1], name="again")),
        ("KEY_IN_USE", add(four, Voter("two"), public_key=four.issuer.public_key)),
        ("KEY_INVALID", add(four, Voter("two"), public_key=bytes(64))),
        ("KEY_INVALID", add(four, Voter("two"), public_key=b"short")),
        ("DEPARTMENT_UNKNOWN", add(four, Voter("two"), department="nobody")),
        # Peers go by the name in a node's certificate: one that no node can have would never be connected.
        ("VALIDATOR_NAME_MALFORMED", add(four, Voter("two"), name="")),
        ("VALIDATOR_NAME_MALFORMED", add(four, Voter("two"), name="n" * 65)),
        ("VALIDATOR_NAME_MALFORMED", add(four, Voter("two"), name="节点")),
        ("VALIDATOR_NAME_MALFORMED", add(four, Voter("two"), name="two\n")),
    ):
        four.refuse(code, four.governor, "members", "add_validator", **arguments)
    four.accept(four.governor, "members", "suspend_department", code=four.land_bureau, reason="核查")
    four.refuse("DEPARTMENT_SUSPENDED", four.governor, "members", "add_validator", **add(four, Voter("two")))


def test_candidates_and_validators_are_bounded(four: Any) -> None:
    assert MAX_VALIDATORS == CONSENSUS_MAX_VALIDATORS
    for index in range(MAX_CANDIDATES):
        four.accept(four.governor, "members", "add_validator", **add(four, Voter(f"c{index}")))
    four.refuse("TOO_MANY_VALIDATORS", four.governor, "members", "add_validator", **add(four, Voter("more")))
    four.accept(four.governor, "members", "withdraw_candidate", address=Voter("c3").address, reason="改期")
    four.refuse("CANDIDATE_UNKNOWN", four.governor, "members", "withdraw_candidate", address=bytes(20), reason="x")
    four.accept(four.governor, "members", "add_validator", **add(four, Voter("c3")))
    for index in range(MAX_CANDIDATES):
        four.accept(four.governor, "members", "withdraw_candidate", address=Voter(f"c{index}").address, reason="x")
    full = [ValidatorRecord(bytes([9]) * 19 + bytes([n]), bytes(64), f"v{n}", "x") for n in range(MAX_VALIDATORS)]
    save_validators(four.state, full, four.calls)
    four.refuse("TOO_MANY_VALIDATORS", four.governor, "members", "add_validator", **add(four, Voter("more")))


def test_four_remain_where_four_founded(four: Any) -> None:
    leaving = four.founders[2].address
    four.refuse("TOO_FEW_VALIDATORS", four.governor, "members", "remove_validator", address=leaving, reason="退出")
    join(four, Voter("new"))
    result = four.accept(four.governor, "members", "remove_validator", address=leaving, reason="退出")
    removed = registry.decode_log(result.logs[0])
    assert (removed.event, removed.fields["name"], removed.fields["first_height"]) == (
        "ValidatorRemoved",
        "n2",
        four.calls + 1,
    )
    assert leaving not in [record.address for record in load_validators(four.state)]
    four.refuse("VALIDATOR_UNKNOWN", four.governor, "members", "remove_validator", address=leaving, reason="x")


def test_a_network_of_fewer_keeps_one(bench: Any) -> None:
    (only,) = load_validators(bench.state)
    bench.calls = 1
    remaining = {"address": only.address, "reason": "退出"}
    bench.refuse("TOO_FEW_VALIDATORS", bench.governor, "members", "remove_validator", **remaining)
    join(bench, Voter("new"))
    bench.accept(bench.governor, "members", "remove_validator", **remaining)
    assert [record.name for record in load_validators(bench.state)] == ["new"]


def test_a_removed_validator_may_come_back(four: Any) -> None:
    join(four, Voter("new"))
    four.accept(four.governor, "members", "remove_validator", address=four.founders[0].address, reason="维护")
    join(four, four.founders[0])
    assert len(load_validators(four.state)) == 5


def test_recent_block_ids_are_a_ring(bench: Any) -> None:
    for height in (0, 5, RECENT_BLOCK_IDS + 5):
        save_block_id(bench.state, height, block_id(height))
    assert load_block_id(bench.state, 0) == block_id(0)
    assert load_block_id(bench.state, 5) is None
    assert load_block_id(bench.state, RECENT_BLOCK_IDS + 5) == block_id(RECENT_BLOCK_IDS + 5)
