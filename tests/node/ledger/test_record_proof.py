"""Record proofs: what they show to somebody who trusts an anchor, and that every changed byte breaks them by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
from contracts import anchors, registry, validator_sets
from contracts.accounts import address_of_key
from contracts.call import CallResult
from node.chain import execution
from node.chain.codec import CodecError, encode
from node.chain.proof import ProofError, RecordProof, TrustAnchor, decode_record_proof, verify_record_proof
from node.ledger.block_store import SET_CHANGE_TABLE
from node.ledger.ledger import ExecutedBlock, Ledger, UnknownHeight
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Any:
    ledger = network.open(tmp_path_factory.mktemp("chain"))
    for seed in range(3):
        network.commit(ledger, network.anchors(seed, 40))
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def trust(network: Any) -> TrustAnchor:
    return TrustAnchor(network.genesis.hash, 0, network.genesis.validator_set().hash)


def anchor_key(network: Any, name: str) -> bytes:
    return anchors.anchor_key(sm3(name.encode()), network.department)


def broken_step(proof: RecordProof, trust: TrustAnchor) -> str:
    with pytest.raises(ProofError) as caught:
        verify_record_proof(proof, trust)
    assert str(caught.value) == f"{caught.value.step}: {caught.value.reason}"
    return caught.value.step


def changed(proof: RecordProof, **fields: Any) -> RecordProof:
    return msgspec.structs.replace(proof, **fields)


def test_a_record_is_proved_as_of_its_height(network: Any, chain: Ledger, trust: TrustAnchor) -> None:
    key = anchor_key(network, "0/7")
    for height in (1, 2, 3):
        shown = verify_record_proof(chain.record_proof(key, height), trust)
        assert (shown.key, shown.height, shown.time_ms) == (key, height, chain.header(height).time_ms)
        assert anchors.ANCHORS.decode(shown.value or b"").label == "件"
    later = anchor_key(network, "2/7")
    assert verify_record_proof(chain.record_proof(later, 2), trust).value is None, "not yet there at height 2"
    assert verify_record_proof(chain.record_proof(later), trust).value is not None


def test_a_proof_travels_as_bytes(network: Any, chain: Ledger, trust: TrustAnchor) -> None:
    proof = chain.record_proof(anchor_key(network, "0/7"))
    assert decode_record_proof(encode(proof)) == proof
    with pytest.raises(CodecError, match="at most 4000000 bytes, found 4000001"):
        decode_record_proof(bytes(4_000_001))


def test_each_broken_part_is_named(network: Any, chain: Ledger, trust: TrustAnchor) -> None:
    proof = chain.record_proof(anchor_key(network, "0/7"))
    header, certificate = proof.header, proof.certificate
    assert proof.value is not None
    assert proof.state.leaf is not None
    state, steps = proof.state, proof.state.steps
    step = msgspec.structs.replace(steps[1], siblings=(bytes(32), *steps[1].siblings[1:]))
    signature = bytes([certificate.signatures[1][0] ^ 1]) + certificate.signatures[1][1:]
    member = msgspec.structs.replace(proof.validators[3], public_key=network.issuer.public_key)
    cases = {
        "record": [
            changed(proof, key=proof.key + b"x"),
            changed(proof, value=proof.value[:-1] + b"\0"),
            changed(proof, value=None),
            changed(proof, state=msgspec.structs.replace(state, leaf=None)),
        ],
        "path": [
            changed(proof, state=msgspec.structs.replace(state, steps=(steps[0], step, *steps[2:]))),
            changed(proof, state=msgspec.structs.replace(state, steps=steps[:-1])),
        ],
        "header": [
            changed(proof, header=msgspec.structs.replace(header, time_ms=header.time_ms + 1)),
            changed(proof, header=msgspec.structs.replace(header, state_root=bytes(32))),
            changed(proof, certificate=msgspec.structs.replace(certificate, block_id=bytes(32))),
        ],
        "validator-set": [
            changed(proof, validators=(*proof.validators[:3], member)),
            changed(proof, validators=proof.validators[:3]),
            changed(proof, validators=proof.validators[::-1]),
            changed(proof, validators=(proof.validators[0],) * 4),
        ],
        "certificate": [
            changed(proof, certificate=msgspec.structs.replace(certificate, height=2)),
            changed(proof, certificate=msgspec.structs.replace(certificate, signers=[0, 1, 1])),
            changed(proof, certificate=msgspec.structs.replace(certificate, signers=[0, 1, 4])),
            changed(
                proof,
                certificate=CommitCertificate(3, 0, certificate.block_id, [0, 1], certificate.signatures[:2]),
            ),
        ],
        "signatures": [
            changed(
                proof,
                certificate=msgspec.structs.replace(
                    certificate, signatures=[certificate.signatures[0], signature, certificate.signatures[2]]
                ),
            ),
            changed(proof, certificate=msgspec.structs.replace(certificate, round=1)),
            changed(proof, certificate=msgspec.structs.replace(certificate, signers=[0, 1, 3])),
        ],
    }
    for expected, proofs in cases.items():
        assert [broken_step(broken, trust) for broken in proofs] == [expected] * len(proofs)


def test_another_chain_or_a_later_checkpoint_is_no_trust(network: Any, chain: Ledger, trust: TrustAnchor) -> None:
    proof = chain.record_proof(anchor_key(network, "0/7"), 2)
    assert broken_step(proof, msgspec.structs.replace(trust, genesis_hash=bytes(32))) == "signatures"
    assert broken_step(proof, msgspec.structs.replace(trust, next_validators_hash=bytes(32))) == "trust"
    assert broken_step(proof, msgspec.structs.replace(trust, height=2)) == "trust"
    verify_record_proof(proof, msgspec.structs.replace(trust, height=1))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_changed_byte_breaks_a_proof(
    network: Any, chain: Ledger, trust: TrustAnchor, data: st.DataObject
) -> None:
    proof = chain.record_proof(anchor_key(network, data.draw(st.sampled_from(["0/7", "nowhere"]))))
    raw = bytearray(encode(proof))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decoded = decode_record_proof(bytes(raw))
    except CodecError:
        return
    if decoded.key != proof.key and decoded.value is None:
        # One empty place proves the absence of every key that would stand there: another question, and a true answer.
        assert chain.state().get(decoded.key) is None
    else:
        broken_step(decoded, trust)


class MovingSets:
    """A chain whose validator set changes: a stand-in call puts the set that its data counts into state."""

    def __init__(self, network: Any, ledger: Ledger) -> None:
        self.network, self.ledger = network, ledger
        self.keys = {key.public_key: key for key in self.make(0) + self.make(1) + self.make(2)}

    @staticmethod
    def make(number: int) -> list[PrivateKey]:
        return [PrivateKey.from_bytes(b"\0" + sm3(f"set {number} {index}".encode())[1:]) for index in range(4)]

    def commit(self, data: bytes) -> ExecutedBlock:
        network, ledger = self.network, self.ledger
        members_now = ledger.validators().members
        transaction = network.transaction(network.governor, b"\1" * 20, data)
        executed = ledger.build_block([transaction], ledger.head_time_ms + 1, members_now[0].address)
        ledger.commit(executed, self.certify(executed, members_now))
        return executed

    def certify(self, executed: ExecutedBlock, members_now: tuple[Validator, ...]) -> CommitCertificate:
        height = executed.header.height
        digest = vote_sign_digest(self.network.genesis.hash, VoteKind.PRECOMMIT, height, 0, executed.block_id)
        keys = {key.public_key: key for key in self.network.validator_keys} | self.keys
        signatures = [keys[member.public_key].sign(digest) for member in members_now[:3]]
        return CommitCertificate(height, 0, executed.block_id, [0, 1, 2], signatures)


@pytest.fixture
def moving(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def contract(state: Any, call: Any, block: Any) -> Any:
        if call.to != b"\1" * 20:
            return registry.execute_call(state, call)
        if call.data:
            records = tuple(
                validator_sets.ValidatorRecord(
                    address_of_key(key.public_key), key.public_key, f"n{index}", network.department
                )
                for index, key in enumerate(MovingSets.make(call.data[0]))
            )
            validator_sets.save_validators(state, records, call.height + 1)
        return CallResult(None, 1, b"", ())

    monkeypatch.setattr(execution, "execute_call", contract)
    ledger = network.open(tmp_path / "moving")
    chain = MovingSets(network, ledger)
    for data in (b"", b"\x01", b"", b"\x02", b""):
        chain.commit(data)
    yield chain
    ledger.close()


def test_a_new_set_takes_effect_one_height_later(moving: MovingSets, network: Any) -> None:
    ledger = moving.ledger
    sets = [ledger.validators_at(height).hash for height in range(1, 7)]
    first, second, third = sets[0], sets[2], sets[4]
    assert sets == [first, first, second, second, third, third]
    assert len({first, second, third}) == 3
    assert first == network.genesis.validator_set().hash
    assert [ledger.header(height).next_validators_hash for height in range(1, 6)] == sets[1:]
    assert [int.from_bytes(key[1:]) for key, _ in ledger._storage.iterate(SET_CHANGE_TABLE)] == [2, 4]


def test_the_walk_leads_from_genesis_or_from_a_checkpoint(moving: MovingSets, network: Any, trust: TrustAnchor) -> None:
    ledger = moving.ledger
    proof = ledger.record_proof(b"absent", 5)
    assert [change.header.height for change in proof.walk] == [2, 4]
    assert verify_record_proof(proof, trust).height == 5
    for height, changes in ((1, [2, 4]), (2, [4]), (3, [4]), (4, [])):
        checkpoint = TrustAnchor(network.genesis.hash, height, ledger.header(height).next_validators_hash)
        short = ledger.record_proof(b"absent", 5, anchor_height=height)
        assert [change.header.height for change in short.walk] == changes
        verify_record_proof(short, checkpoint)
    with pytest.raises(UnknownHeight, match="above the trusted height 5, found 5"):
        ledger.record_proof(b"absent", 5, anchor_height=5)


def test_a_walk_that_skips_or_forges_a_change_is_no_trust(moving: MovingSets, network: Any, trust: TrustAnchor) -> None:
    ledger = moving.ledger
    proof = ledger.record_proof(b"absent", 5)
    one, two = proof.walk
    forged_set = tuple(
        ValidatorSet([Validator(address_of_key(key.public_key), key.public_key) for key in MovingSets.make(1)]).members
    )
    bad_seal = msgspec.structs.replace(one.certificate, signatures=[bytes(64)] * 3)
    few = msgspec.structs.replace(one.certificate, signers=[0, 1], signatures=one.certificate.signatures[:2])
    for walk in (
        (),
        (one,),
        (two,),
        (two, one),
        (one, one, two),
        (one, two, two),
        (msgspec.structs.replace(one, validators=forged_set), two),
        (msgspec.structs.replace(one, certificate=bad_seal), two),
        (msgspec.structs.replace(one, certificate=few), two),
        (msgspec.structs.replace(one, certificate=two.certificate), two),
        (msgspec.structs.replace(one, header=msgspec.structs.replace(one.header, time_ms=1)), two),
    ):
        assert broken_step(changed(proof, walk=walk), trust) == "trust"
