"""Validator set changes by transactions: the old set decides h, the new one h + 1, and proofs and restarts know which is which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consensus.certificate import InvalidCertificate, verify_certificate
from consensus.evidence import InvalidEvidence
from contracts import registry
from contracts.accounts import address_of_key
from contracts.members import may_send
from contracts.recent_blocks import load_block_id
from node.chain.block import block_id
from node.chain.proof import ProofError, TrustAnchor, verify_record_proof
from node.ledger.ledger import InvalidBlock, Ledger
from sm_crypto.sm2 import verify_batch
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.ledger.conftest import ChangingChain


@pytest.fixture
def chain(make_chain: Callable[[Ledger], ChangingChain], ledger: Ledger) -> ChangingChain:
    return make_chain(ledger)


def test_case_21_the_old_set_signs_h_and_the_new_set_h_plus_1(chain: ChangingChain, network: Any) -> None:
    chain.grow()
    ledger = chain.ledger
    founders = network.genesis.validator_set()
    sets = [ledger.validators_at(height) for height in range(1, 8)]
    assert [len(validators) for validators in sets] == [4, 4, 5, 5, 4, 4, 4]
    assert sets[0] == sets[1] == founders
    for height in range(1, 7):
        header = ledger.header(height)
        assert header.validators_hash == sets[height - 1].hash
        assert header.next_validators_hash == sets[height].hash
        certificate = ledger.certificate(height)
        verify_certificate(certificate, block_id(header), sets[height - 1], network.genesis.hash, verify_batch)
        assert load_block_id(ledger.state(), height) == (certificate.block_id if height < 6 else None)
    joined = address_of_key(chain.new.public_key)
    removed = address_of_key(network.validator_keys[0].public_key)
    assert (founders.index_of(joined), sets[2].index_of(removed) is None) == (None, False)
    assert (sets[4].index_of(joined) is None, sets[4].index_of(removed)) == (False, None)
    # The state says the same, so that a node that has only the state judges alike.
    for height in range(1, 8):
        records = registry.view(ledger.state(), "members", "validators_at", height=height)
        assert tuple(record.address for record in records) == tuple(member.address for member in sets[height - 1])


def test_case_21_the_old_set_does_not_decide_the_first_height_of_the_new(chain: ChangingChain, network: Any) -> None:
    founders = network.genesis.validator_set()
    chain.commit(chain.add())
    chain.commit(chain.confirm())
    ledger = chain.ledger
    executed = ledger.build_block([], ledger.head_time_ms + 1, founders.members[0].address)
    stale = chain.certify(3, executed.block_id, founders)
    with pytest.raises(InvalidCertificate):
        verify_certificate(stale, executed.block_id, ledger.validators(), network.genesis.hash, verify_batch)
    # A header that names the old set for the new height is no block of this chain.
    header = msgspec.structs.replace(executed.header, validators_hash=founders.hash)
    with pytest.raises(InvalidBlock, match="expected validators_hash"):
        ledger.execute_block(header, [], [])


def test_case_21_the_proposer_at_the_boundary_is_one_of_the_new_set(chain: ChangingChain, network: Any) -> None:
    removed = address_of_key(network.validator_keys[0].public_key)
    chain.commit(chain.add())
    chain.commit(chain.confirm())
    chain.commit(chain.remove(network.validator_keys[0]))
    ledger = chain.ledger
    built = ledger.build_block([], ledger.head_time_ms + 1, removed)
    unknown = msgspec.structs.replace(built.header, time_ms=built.header.time_ms + 1)
    with pytest.raises(InvalidBlock, match="expected a validator as proposer"):
        ledger.execute_block(unknown, [], [])
    validators = ledger.validators()
    proposers = {validators.members[validators.proposer_index(4, round_)].address for round_ in range(4)}
    assert proposers == {member.address for member in validators}
    assert removed not in proposers


def test_case_21_add_and_remove_in_one_block_changes_one(chain: ChangingChain, network: Any) -> None:
    chain.commit(chain.add())
    leaving = network.validator_keys[1]
    both = chain.commit(chain.confirm(), chain.remove(leaving))
    assert [receipt.refusal for receipt in both.receipts] == [None, "SET_CHANGED"]
    assert len(chain.ledger.validators()) == 5
    after = chain.commit(chain.remove(leaving))
    assert after.receipts[0].refusal is None
    assert chain.ledger.validators().index_of(address_of_key(leaving.public_key)) is None
    fewer = chain.commit(chain.remove(network.validator_keys[2]))
    assert fewer.receipts[0].refusal == "TOO_FEW_VALIDATORS"


def test_case_21_a_restart_at_the_boundary_knows_the_new_set(
    network: Any, make_chain: Callable[[Ledger], ChangingChain], tmp_path: Path
) -> None:
    chain = make_chain(network.open(tmp_path / "data"))
    chain.commit(chain.add())
    chain.commit(chain.confirm())
    sets = [chain.ledger.validators_at(height) for height in (1, 2, 3)]
    chain.ledger.close()
    chain.ledger = network.open(tmp_path / "data")
    assert chain.ledger.validators() == sets[2]
    assert [chain.ledger.validators_at(height) for height in (1, 2, 3)] == sets
    chain.commit(chain.remove(network.validator_keys[3]))
    chain.ledger.close()
    chain.ledger = network.open(tmp_path / "data")
    assert chain.ledger.validators().index_of(address_of_key(network.validator_keys[3].public_key)) is None
    chain.commit()
    chain.ledger.close()


def test_case_21_a_proof_leads_across_the_changes(chain: ChangingChain, network: Any) -> None:
    chain.grow()
    anchor = TrustAnchor(network.genesis.hash, 0, network.genesis.validator_set().hash)
    proof = chain.ledger.record_proof(b"absent")
    assert [change.header.height for change in proof.walk] == [2, 4]
    assert verify_record_proof(proof, anchor).height == 6
    with pytest.raises(ProofError, match="trust"):
        verify_record_proof(msgspec.structs.replace(proof, walk=proof.walk[1:]), anchor)
    later = TrustAnchor(network.genesis.hash, 4, chain.ledger.header(4).next_validators_hash)
    assert verify_record_proof(chain.ledger.record_proof(b"absent", anchor_height=4), later).height == 6


def test_case_21_evidence_is_judged_with_the_set_of_its_height(chain: ChangingChain, network: Any) -> None:
    chain.grow()
    founders, five = network.genesis.validator_set(), chain.ledger.validators_at(3)
    index = five.index_of(address_of_key(chain.new.public_key))
    assert index is not None
    # The fifth index exists at heights 3 and 4 only.
    for height, fits in ((2, False), (3, True), (4, True), (5, False)):
        raw = chain.double(five, 4, height)
        if fits:
            chain.ledger.judge_evidence(raw)
        else:
            with pytest.raises(InvalidEvidence, match="below 4, found 4"):
                chain.ledger.judge_evidence(raw)
    # Who has left answers for what it signed while it was a member.
    removed = address_of_key(network.validator_keys[0].public_key)
    old_index = founders.index_of(removed)
    assert old_index is not None
    committed = chain.commit(evidence=(chain.double(founders, old_index, 1),))
    assert len(committed.evidence) == 1
    (record,) = registry.view(chain.ledger.state(), "members", "offences", address=removed)
    assert (record.name, record.height) == ("node0", 1)


def test_case_22_a_candidate_that_follows_another_chain_does_not_join(chain: ChangingChain) -> None:
    chain.commit(chain.add())
    address = address_of_key(chain.new.public_key)
    assert may_send(chain.ledger.state(), address)
    elsewhere = chain.call(chain.new, "confirm_validator", height=1, block_id=sm3(b"another chain"))
    # Of the block that is being made nobody knows the id, and of the height before its naming it may not speak.
    early = chain.confirm(height=2)
    committed = chain.commit(elsewhere, early)
    assert [receipt.refusal for receipt in committed.receipts] == ["BLOCK_UNKNOWN"] * 2
    assert len(chain.ledger.validators()) == 4
    old = chain.call(chain.new, "confirm_validator", height=0, block_id=chain.network.genesis.hash)
    committed = chain.commit(old, chain.confirm())
    assert [receipt.refusal for receipt in committed.receipts] == ["BLOCK_TOO_OLD", None]
    assert len(chain.ledger.validators()) == 5
    assert not may_send(chain.ledger.state(), address)
