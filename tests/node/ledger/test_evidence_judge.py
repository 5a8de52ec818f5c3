"""Evidence in blocks: judged with the set of its height, each offence once in the chain's life, then seen in state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus.evidence import DoubleVote, InvalidEvidence, double_proposal, double_vote, encode_evidence
from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from contracts import registry
from contracts.offences import MAX_KEPT_OFFENCES, OFFENCES
from node.chain.block import evidence_root
from node.ledger import evidence_judge
from node.ledger.ledger import ExecutedBlock, InvalidBlock, Ledger

ONE, TWO = b"\1" * 32, b"\2" * 32


class Culprit:
    """Makes evidence against validators of the network, signed with their own keys."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.keys = {key.public_key: key for key in network.validator_keys}
        self.members = network.genesis.validator_set().members

    def vote(self, index: int, height: int, round_: int, value: bytes | None, kind: VoteKind) -> Vote:
        digest = vote_sign_digest(self.network.genesis.hash, kind, height, round_, value)
        signature = self.keys[self.members[index].public_key].sign(digest)
        return Vote(kind, height, round_, value, index, signature)

    def double(
        self, index: int, height: int, round_: int = 0, second: bytes | None = TWO, kind: VoteKind = VoteKind.PREVOTE
    ) -> bytes:
        one, two = (self.vote(index, height, round_, value, kind) for value in (ONE, second))
        return encode_evidence(double_vote(one, two))

    def proposals(self, height: int, round_: int) -> bytes:
        index = self.network.genesis.validator_set().proposer_index(height, round_)
        pair = []
        for value in (ONE, TWO):
            digest = proposal_sign_digest(self.network.genesis.hash, height, round_, value, -1, index)
            signature = self.keys[self.members[index].public_key].sign(digest)
            pair.append(Proposal(height, round_, value, -1, index, signature))
        return encode_evidence(double_proposal(*pair))


@pytest.fixture
def culprit(network: Any) -> Culprit:
    return Culprit(network)


@pytest.fixture
def grown(network: Any, ledger: Ledger) -> Ledger:
    for seed in range(2):
        network.commit(ledger, network.anchors(seed, 1))
    return ledger


def build(network: Any, ledger: Ledger, evidence: list[bytes]) -> ExecutedBlock:
    return ledger.build_block(network.anchors(9, 1), ledger.head_time_ms + 1_000, network.proposer, evidence)


def test_case_12_evidence_is_committed_once_and_everybody_sees_it(
    network: Any, grown: Ledger, culprit: Culprit, tmp_path: Path
) -> None:
    prevotes = culprit.double(3, 1, second=None)
    proposals = culprit.proposals(2, 0)
    other = network.open(tmp_path / "other")
    for height in (1, 2):
        sealed = grown.sealed_block(height)
        bodies = grown._recent[height].transactions
        other.commit(other.execute_block(sealed.header, bodies, []), sealed.certificate)
    # The proposer is given them in any order, and one twice.
    built = build(network, grown, [proposals, prevotes, proposals])
    assert built.evidence == (prevotes, proposals)
    assert built.header.evidence_root == evidence_root([prevotes, proposals])
    executed = other.execute_block(built.header, built.transactions, list(built.evidence))
    committed = other.commit(executed, network.certify(built))
    assert committed.evidence == built.evidence
    assert other.sealed_block(3).body.evidence == [prevotes, proposals]
    offender = culprit.members[3].address
    (record,) = registry.view(other.state(), "members", "offences", address=offender)
    assert (record.height, record.round, record.kind) == (1, 0, int(VoteKind.PREVOTE))
    assert (record.first_value, record.second_value) == (b"", ONE)
    assert (record.included_height, record.included_ms) == (3, committed.header.time_ms)
    assert (record.department, record.name) == (network.department, record.name)
    assert len(list(other.state().iterate(OFFENCES.prefix))) == 2
    # Never again, not even by other signatures over the same.
    for raw in (prevotes, culprit.double(3, 1, second=None), proposals):
        with pytest.raises(InvalidEvidence, match="is on the chain"):
            other.judge_evidence(raw)
    assert build(network, other, [prevotes, culprit.double(3, 1)]).evidence == ()
    other.close()


def test_only_what_two_signatures_prove_is_evidence(network: Any, grown: Ledger, culprit: Culprit) -> None:
    good = culprit.double(0, 1)
    assert isinstance(grown.judge_evidence(good), DoubleVote)
    forged = msgspec.structs.replace(culprit.vote(0, 1, 0, TWO, VoteKind.PREVOTE), signature=bytes(64))
    for raw, reason in (
        (b"", "expected evidence"),
        (b"\x93", "expected evidence"),
        (good + b"\0", "expected evidence"),
        (bytes(2_000), "at most 1024 bytes"),
        (culprit.double(0, 3), "of a height up to 2, found 3"),
        (encode_evidence(double_vote(culprit.vote(0, 1, 0, ONE, VoteKind.PREVOTE), forged)), "found a wrong one"),
        (encode_evidence(double_vote(*[culprit.vote(0, 1, 0, ONE, VoteKind.PREVOTE)] * 2)), "two different values"),
    ):
        with pytest.raises(InvalidEvidence, match=reason):
            grown.judge_evidence(raw)
    nobody = [
        msgspec.structs.replace(culprit.vote(0, 1, 0, value, VoteKind.PREVOTE), validator_index=4)
        for value in (ONE, TWO)
    ]
    with pytest.raises(InvalidEvidence, match="below 4, found 4"):
        grown.judge_evidence(encode_evidence(double_vote(*nobody)))


def test_a_block_with_evidence_that_does_not_hold_is_invalid(
    network: Any, grown: Ledger, culprit: Culprit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = culprit.double(0, 1), culprit.double(1, 1)
    empty = build(network, grown, [])
    for pieces, reason in (
        ([b"piece"], "evidence: expected evidence"),
        ([second, first], "ascending order"),
        ([first, culprit.double(0, 1)], "ascending order"),
        ([culprit.double(0, 3)], "up to 2, found 3"),
        ([first] * 65, "at most 64 pieces of evidence, found 65"),
    ):
        header = msgspec.structs.replace(empty.header, evidence_root=evidence_root(pieces))
        with pytest.raises(InvalidBlock, match=reason):
            grown.execute_block(header, empty.transactions, pieces)
    with pytest.raises(InvalidBlock, match="expected evidence_root"):
        grown.execute_block(empty.header, empty.transactions, [first])
    # Evidence that the header names and the state root leaves out.
    header = msgspec.structs.replace(empty.header, evidence_root=evidence_root([first]))
    with pytest.raises(InvalidBlock, match="expected state_root"):
        grown.execute_block(header, empty.transactions, [first])
    monkeypatch.setattr(evidence_judge, "MAX_BLOCK_EVIDENCE", 1)
    assert build(network, grown, [second, first]).evidence == (second,)


def test_a_key_in_wrong_hands_cannot_fill_the_state(
    network: Any, grown: Ledger, culprit: Culprit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_KEPT_OFFENCES == 256
    monkeypatch.setattr(evidence_judge, "MAX_KEPT_OFFENCES", 2)
    pieces = [culprit.double(0, 1, round_) for round_ in range(3)]
    empty = build(network, grown, [])
    header = msgspec.structs.replace(empty.header, evidence_root=evidence_root(pieces))
    with pytest.raises(InvalidBlock, match=r"2 offences of node. are kept"):
        grown.execute_block(header, empty.transactions, pieces)
    built = build(network, grown, [*pieces, culprit.double(1, 1)])
    assert len(built.evidence) == 3
    grown.commit(built, network.certify(built))
    with pytest.raises(InvalidEvidence, match="no more are kept"):
        grown.judge_evidence(pieces[2])
    listed = registry.view(grown.state(), "members", "offences", address=culprit.members[0].address)
    assert [(record.round, record.number) for record in listed] == [(1, 2), (0, 1)]
