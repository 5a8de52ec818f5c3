"""Evidence in blocks: judged with the validators of its height as the state keeps them, and recorded as offences."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.evidence import Evidence, InvalidEvidence, decode_evidence, verify_evidence
from consensus.validators import Validator, ValidatorSet
from contracts.offences import MAX_KEPT_OFFENCES, count_offences, is_recorded, save_offence
from contracts.records import Reader
from contracts.validator_sets import ValidatorRecord, load_validators_at
from node.chain.world_state import WorldState
from sm_crypto.sm2 import verify_batch

MAX_BLOCK_EVIDENCE = 64


class JudgedEvidence(msgspec.Struct, frozen=True, gc=False):
    """A piece that holds: its bytes, what it says, and who it is about."""

    raw: bytes
    evidence: Evidence
    offender: ValidatorRecord


def find_offender(evidence: Evidence, state: Reader, height: int) -> ValidatorRecord:
    """Return whom a block over the head at `height` may carry the evidence against; raise InvalidEvidence. Signatures are not read."""
    return _offender_and_set(evidence, state, height)[0]


def judge_evidence(raw: bytes, state: Reader, height: int, genesis_hash: bytes) -> JudgedEvidence:
    """Return the piece if a block over the head at `height` may carry it, given the state there; raise InvalidEvidence."""
    evidence = decode_evidence(raw)
    offender, records = _offender_and_set(evidence, state, height)
    validators = ValidatorSet([Validator(record.address, record.public_key) for record in records])
    verify_evidence(evidence, validators, genesis_hash, verify_batch)
    return JudgedEvidence(raw, evidence, offender)


def _offender_and_set(
    evidence: Evidence, state: Reader, height: int
) -> tuple[ValidatorRecord, Sequence[ValidatorRecord]]:
    at_height, round_, kind, index = evidence.offence
    if at_height > height:
        raise InvalidEvidence(f"expected evidence of a height up to {height}, found {at_height}")
    records = load_validators_at(state, at_height)
    if not index < len(records):
        raise InvalidEvidence(f"expected a validator below {len(records)}, found {index}")
    offender = records[index]
    if is_recorded(state, offender.address, at_height, round_, kind):
        raise InvalidEvidence(f"the offence of {offender.name} at height {at_height}, round {round_} is on the chain")
    if count_offences(state, offender.address) >= MAX_KEPT_OFFENCES:
        raise InvalidEvidence(f"{MAX_KEPT_OFFENCES} offences of {offender.name} are on the chain, no more are kept")
    return offender, records


def judge_block_evidence(
    pieces: Sequence[bytes], state: Reader, height: int, genesis_hash: bytes
) -> list[JudgedEvidence]:
    """Return the pieces if they may all stand in one block over the head at `height`; raise InvalidEvidence otherwise."""
    if len(pieces) > MAX_BLOCK_EVIDENCE:
        raise InvalidEvidence(f"expected at most {MAX_BLOCK_EVIDENCE} pieces of evidence, found {len(pieces)}")
    judged: list[JudgedEvidence] = []
    for raw in pieces:
        piece = judge_evidence(raw, state, height, genesis_hash)
        if judged and piece.evidence.offence <= judged[-1].evidence.offence:
            raise InvalidEvidence("expected the pieces in ascending order of their offences, each offence once")
        judged.append(piece)
    _check_kept(judged, state)
    return judged


def choose_block_evidence(
    pieces: Sequence[bytes], state: Reader, height: int, genesis_hash: bytes
) -> list[JudgedEvidence]:
    """Return those of the pieces that one block over the head at `height` may carry, in their order in it."""
    by_offence: dict[tuple[int, int, int, int], JudgedEvidence] = {}
    room: dict[bytes, int] = {}
    for raw in pieces:
        if len(by_offence) == MAX_BLOCK_EVIDENCE:
            break
        try:
            piece = judge_evidence(raw, state, height, genesis_hash)
        except InvalidEvidence:
            # It was good when it was put aside: another block has carried it since.
            continue
        address = piece.offender.address
        left = room.setdefault(address, MAX_KEPT_OFFENCES - count_offences(state, address))
        if left and piece.evidence.offence not in by_offence:
            by_offence[piece.evidence.offence] = piece
            room[address] = left - 1
    return [by_offence[offence] for offence in sorted(by_offence)]


def record_evidence(judged: Sequence[JudgedEvidence], state: WorldState, height: int, time_ms: int) -> None:
    """Write the offences of a block's evidence into the state, as included at the block's height and time."""
    for piece in judged:
        first, second = piece.evidence.first, piece.evidence.second
        values = (first.block_id or b"", second.block_id or b"")
        save_offence(state, piece.offender, piece.evidence.offence[:3], values, (height, time_ms))


def _check_kept(judged: Sequence[JudgedEvidence], state: Reader) -> None:
    """Raise InvalidEvidence where a block's pieces together are more than is kept of one validator."""
    found: dict[bytes, int] = {}
    for piece in judged:
        address = piece.offender.address
        found[address] = found.get(address, count_offences(state, address)) + 1
        if found[address] > MAX_KEPT_OFFENCES:
            raise InvalidEvidence(f"{MAX_KEPT_OFFENCES} offences of {piece.offender.name} are kept, no more")
