"""What this validator signs: logged and synced before it leaves, never two different ones in one place, known again when it comes back."""

from __future__ import annotations

from typing import Final

from consensus.events import LockState, SignProposal, SignVote
from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from node.driver.last_signed import UNLOCKED, LastSigned, RecordHealth, SignedRecord, SigningRefused, SignStep
from node.driver.write_ahead_log import HeightLogged, LogRecord, OwnProposalLogged, OwnVoteLogged, WriteAheadLog
from node.logs import Log
from sm_crypto.keystore import Signer

ABSTENTION_MARGIN: Final = 2

_LOG = Log("driver")


class OwnMessages:
    """Signs, in this order: check the last-signed record, sign, log, sync the log, write the record, hand out."""

    def __init__(self, signer: Signer, log: WriteAheadLog, last_signed: LastSigned, genesis_hash: bytes) -> None:
        self.signer = signer
        self._log = log
        self._last_signed = last_signed
        self._genesis_hash = genesis_hash
        self._signatures: set[bytes] = set()

    def begin_height(self) -> None:
        """Forget the signatures of the height before."""
        self._signatures.clear()

    def sign_proposal(self, request: SignProposal, index: int) -> Proposal | None:
        """Return the signed proposal, on disk before it is returned; None where signing is refused. Raise OSError."""
        digest = proposal_sign_digest(
            self._genesis_hash, request.height, request.round, request.block_id, request.pol_round, index
        )
        place = (request.height, request.round, SignStep.PROPOSAL)
        signature = self._stored_or_new(place, digest)
        if signature is None:
            return None
        proposal = Proposal(request.height, request.round, request.block_id, request.pol_round, index, signature)
        sequence = self._last_signed.record.sequence + 1
        self._secure(OwnProposalLogged(sequence, proposal, request.lock), place, digest, signature, request.lock)
        return proposal

    def sign_vote(self, request: SignVote, index: int) -> Vote | None:
        """Return the signed vote, on disk before it is returned; None where signing is refused. Raise OSError."""
        digest = vote_sign_digest(self._genesis_hash, request.kind, request.height, request.round, request.block_id)
        place = (request.height, request.round, _step_of(request.kind))
        signature = self._stored_or_new(place, digest)
        if signature is None:
            return None
        vote = Vote(request.kind, request.height, request.round, request.block_id, index, signature)
        sequence = self._last_signed.record.sequence + 1
        self._secure(OwnVoteLogged(sequence, vote, request.lock), place, digest, signature, request.lock)
        return vote

    def _stored_or_new(self, place: tuple[int, int, SignStep], digest: bytes) -> bytes | None:
        try:
            stored = self._last_signed.check(*place, digest)
        except SigningRefused as refusal:
            _LOG.warning("signing_refused", reason=str(refusal))
            return None
        return stored if stored is not None else self.signer.sign(digest)

    def _secure(
        self, record: LogRecord, place: tuple[int, int, SignStep], digest: bytes, signature: bytes, lock: LockState
    ) -> None:
        self._log.append(record)
        self._log.sync()
        sequence = self._last_signed.record.sequence + 1
        self._last_signed.save(SignedRecord(sequence, *place, digest, signature, lock))
        self._signatures.add(signature)

    def take_up(self, record: OwnProposalLogged | OwnVoteLogged) -> None:
        """Know a message from the log again; where the log is ahead of the last-signed record, bring that up. Raise OSError."""
        if isinstance(record, OwnProposalLogged):
            proposal = record.proposal
            signature = proposal.signature
            place = (proposal.height, proposal.round, SignStep.PROPOSAL)
            digest = proposal_sign_digest(
                self._genesis_hash,
                proposal.height,
                proposal.round,
                proposal.block_id,
                proposal.pol_round,
                proposal.validator_index,
            )
        else:
            vote = record.vote
            signature = vote.signature
            place = (vote.height, vote.round, _step_of(vote.kind))
            digest = vote_sign_digest(self._genesis_hash, vote.kind, vote.height, vote.round, vote.block_id)
        self._signatures.add(signature)
        last = self._last_signed.record
        if place > (last.height, last.round, last.step):
            self._last_signed.save(SignedRecord(record.sequence, *place, digest, signature, record.lock))

    def recorded_lock(self, height: int) -> LockState:
        """Return the lock that went with the last signature of this height, no lock where there is none."""
        record = self._last_signed.record
        return record.lock if record.height == height else UNLOCKED

    def is_ours(self, signature: bytes) -> bool:
        """Return whether this process, or the log that it took up, made this signature at this height."""
        return signature in self._signatures


def abstention_height(log: WriteAheadLog, last_signed: LastSigned, ledger_height: int) -> tuple[int | None, str]:
    """Return the height up to which this key may have voted without our knowing it, and what is wrong; 0 and "" where all is sound.

    None where nothing here tells, so that only the peers' heights do: the record is absent, or it is damaged and the ledger
    may have begun anew since, by a snapshot or by its peers' blocks.
    """
    record, health = last_signed.record, last_signed.health
    if health is RecordHealth.ABSENT:
        zh = f"{last_signed.path} 处没有最后签名记录，此密钥可能签过任何内容"
        return None, f"{zh} / no last-signed record at {last_signed.path}: this key may have signed anything"
    height, reason = _unknown_up_to(log, last_signed, ledger_height)
    if height is not None and record.is_override and record.height > ledger_height and record.height >= height:
        # The record refuses everything up to there, whatever the log holds.
        zh = f"操作员的人工解除只准此密钥在高度 {record.height} 之上投票"
        return record.height, f"{zh} / an operator's override lets this key vote above height {record.height} only"
    return height, reason


def _unknown_up_to(log: WriteAheadLog, last_signed: LastSigned, ledger_height: int) -> tuple[int | None, str]:
    record, health = last_signed.record, last_signed.health
    next_height = ledger_height + 1
    log_height = log.height or 0
    own = [entry.sequence for entry in log.records if isinstance(entry, OwnProposalLogged | OwnVoteLogged)]
    own_sequence = max(own, default=0) if log_height == next_height else 0
    if log_height > next_height:
        zh = f"日志属于高度 {log_height}，账本止于 {ledger_height}：丢失了区块"
        en = f"the log is of height {log_height}, the ledger ends at {ledger_height}: blocks were lost"
        return log_height, f"{zh} / {en}"
    first = log.records[0] if log.records else None
    # Only then the ledger is known to be the one over which this key voted last.
    is_followed = isinstance(first, HeightLogged) and first.is_voting and log_height >= ledger_height
    if health is RecordHealth.DAMAGED:
        reason = f"{last_signed.path} 的两个槽位都已损坏 / both slots of {last_signed.path} are damaged"
        return next_height if is_followed else None, reason
    if health is RecordHealth.ONE_SLOT_DAMAGED and own_sequence <= record.sequence:
        zh = f"{last_signed.path} 的一个槽位已损坏，日志中也没有它的内容"
        reason = f"{zh} / a slot of {last_signed.path} is damaged and the log does not hold it"
        return max(next_height, record.height) if is_followed else None, reason
    if record.height >= next_height and own_sequence < record.sequence:
        zh = f"日志 {log.path} 缺少最后签名记录所说已写入的内容"
        return record.height, f"{zh} / the log {log.path} lacks what the last-signed record says was synced to it"
    return 0, ""


def _step_of(kind: VoteKind) -> SignStep:
    return SignStep.PREVOTE if kind is VoteKind.PREVOTE else SignStep.PRECOMMIT
