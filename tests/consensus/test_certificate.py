"""Commit certificates and evidence of double votes: what is accepted, and the reason for each refusal."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificate import InvalidCertificate, InvalidCommitSeal, verify_certificate
from consensus.messages import (
    CommitCertificate,
    Proposal,
    Vote,
    VoteKind,
    proposal_sign_digest,
    vote_sign_digest,
)
from consensus.validators import Validator, ValidatorSet
from sm_crypto import sm2
from sm_crypto.sm3 import sm3

ValidatorMaker = Callable[[int], ValidatorSet]
X, Y = b"X" * 32, b"Y" * 32


def test_case_10_a_quorum_of_distinct_members_is_accepted(validator_set: ValidatorMaker, seals: Any) -> None:
    for signers in ([0, 1, 2], [0, 1, 3], [0, 1, 2, 3]):
        verify_certificate(
            seals.certificate(9, 2, X, signers), X, validator_set(4), seals.genesis_hash, seals.verify_batch
        )


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        ([1, 1, 1], "ascending"),  # a quorum of signatures by one signer
        ([0, 1, 1, 2], "ascending"),  # a duplicate beside a quorum
        ([2, 1, 0], "ascending"),  # a second encoding of the same certificate
        ([0, 1, 4], "below 4"),  # not a member
        ([-1, 0, 1], "below 4"),
        ([0, 1], "at least 3 of 4"),  # case 30: quorum - 1
        ([], "at least 3 of 4"),  # case 24: empty
    ],
)
def test_case_10_signers_that_are_no_quorum_are_refused(
    validator_set: ValidatorMaker, seals: Any, signers: list[int], reason: str
) -> None:
    certificate = CommitCertificate(9, 2, X, signers, [bytes(64)] * len(signers))
    with pytest.raises(InvalidCertificate, match=reason):
        verify_certificate(certificate, X, validator_set(4), seals.genesis_hash, lambda items: [True] * len(items))


@pytest.mark.parametrize(
    "signed",
    [
        {"height": 8},
        {"round_": 1},
        {"value": Y},
        {"value": None},
        {"kind": VoteKind.PREVOTE},
        {"genesis_hash": sm3(b"another network")},  # case 28: the same chain id under a new genesis
    ],
)
def test_case_10_seals_of_another_height_round_block_kind_or_chain_are_refused(
    validator_set: ValidatorMaker, seals: Any, signed: dict[str, Any]
) -> None:
    certificate = seals.certificate(9, 2, X, [0, 1, 2], **signed)
    with pytest.raises(InvalidCommitSeal, match=r"wrong ones by validators \[0, 1, 2\]"):
        verify_certificate(certificate, X, validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_case_30_certificates_for_another_block_of_another_set_or_of_odd_lists_are_refused(
    validator_set: ValidatorMaker, seals: Any
) -> None:
    certificate = seals.certificate(9, 2, X, [0, 1, 2])
    with pytest.raises(InvalidCertificate, match="expected a certificate for block 59"):
        verify_certificate(certificate, Y, validator_set(4), seals.genesis_hash, seals.verify_batch)
    other_set = ValidatorSet([Validator(bytes([i + 50]) * 20, bytes([i + 50]) * 64) for i in range(4)])
    with pytest.raises(InvalidCommitSeal):
        verify_certificate(certificate, X, other_set, seals.genesis_hash, seals.verify_batch)
    with pytest.raises(InvalidCertificate, match="at least 5 of 7"):
        verify_certificate(certificate, X, validator_set(7), seals.genesis_hash, seals.verify_batch)
    odd = msgspec.structs.replace(certificate, signatures=certificate.signatures[:2])
    with pytest.raises(InvalidCertificate, match="one signature a signer, found 3 and 2"):
        verify_certificate(odd, X, validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_one_wrong_seal_is_named(validator_set: ValidatorMaker, seals: Any) -> None:
    certificate = seals.certificate(9, 2, X, [0, 1, 2, 3])
    certificate.signatures[2] = certificate.signatures[1]
    with pytest.raises(InvalidCommitSeal, match=r"wrong ones by validators \[2\]"):
        verify_certificate(certificate, X, validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_certificates_and_evidence_with_sm2_signatures() -> None:
    keys = {key.public_key: key for key in (sm2.PrivateKey.generate() for _ in range(4))}
    validators = ValidatorSet([Validator(sm3(public_key)[-20:], public_key) for public_key in keys])
    genesis_hash = sm3(b"genesis")

    def vote(index: int, value: bytes | None) -> Vote:
        digest = vote_sign_digest(genesis_hash, VoteKind.PRECOMMIT, 9, 2, value)
        key = keys[validators.members[index].public_key]
        return Vote(VoteKind.PRECOMMIT, 9, 2, value, index, key.sign(digest))

    certificate = CommitCertificate(9, 2, X, [0, 1, 3], [vote(index, X).signature for index in (0, 1, 3)])
    verify_certificate(certificate, X, validators, genesis_hash, sm2.verify_batch)
    certificate.signatures[1] = certificate.signatures[0]
    with pytest.raises(InvalidCommitSeal, match=r"\[1\]"):
        verify_certificate(certificate, X, validators, genesis_hash, sm2.verify_batch)


def test_sign_digests_are_those_of_the_specification() -> None:
    # docs/spec/consensus.md, "Messages": the bytes are written out, so that encoding and tag are both held.
    genesis_hash = bytes(range(32))
    tag = b"govnode/consensus-message/1".ljust(64, b"\0")
    chain_and_block = b"\xc4\x20" + genesis_hash, b"\x09\x02\xc4\x20" + X
    proposal = b"\x97" + chain_and_block[0] + b"\x00" + chain_and_block[1] + b"\xff\x03"
    prevote = b"\x95" + chain_and_block[0] + b"\x01" + chain_and_block[1]
    precommit_nil = b"\x95" + chain_and_block[0] + b"\x02\x09\x02\xc0"
    assert proposal_sign_digest(genesis_hash, 9, 2, X, -1, 3) == sm3(tag + proposal)
    assert vote_sign_digest(genesis_hash, VoteKind.PREVOTE, 9, 2, X) == sm3(tag + prevote)
    assert vote_sign_digest(genesis_hash, VoteKind.PRECOMMIT, 9, 2, None) == sm3(tag + precommit_nil)
    assert sm3(tag + proposal).hex() == "a87ac3ac3e8047aeb371ce4ddf5750a27138712a6d195ff26d17976a279a07b9"
    assert sm3(tag + prevote).hex() == "c9f5e46caffe81084362f392ac29fa720a73896d4795752964a63a9fd4654662"
    assert sm3(tag + precommit_nil).hex() == "12fdc9d7aeec7d1e69cc94d326338fbfb07f64bb85865d980995b010316fa4c8"


SAMPLES = [
    Proposal(9, 2, X, 1, 3, bytes(64)),
    Vote(VoteKind.PREVOTE, 9, 2, None, 1, bytes(64)),
    CommitCertificate(9, 2, X, [0, 1, 2], [bytes(64)] * 3),
]


@given(st.sampled_from(SAMPLES), st.data())
def test_case_24_changed_bytes_decode_to_a_message_in_range_or_raise_the_one_error(
    sample: msgspec.Struct, data: st.DataObject
) -> None:
    raw = bytearray(msgspec.msgpack.encode(sample))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = msgspec.msgpack.decode(bytes(raw), type=type(sample))
    except msgspec.DecodeError:
        return
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=type(sample)) == message


@pytest.mark.parametrize("field", ["height", "round", "validator_index"])
@pytest.mark.parametrize("number", [-2, 2**63, 2**64 - 1])
def test_case_24_huge_integers_do_not_decode(field: str, number: int) -> None:
    raw = msgspec.msgpack.encode(msgspec.structs.replace(SAMPLES[1], **{field: number}))
    with pytest.raises(msgspec.DecodeError):
        msgspec.msgpack.decode(raw, type=Vote)
