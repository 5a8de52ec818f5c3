"""The two closed unions of the core: inputs that go in, actions that come out."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from consensus.evidence import Evidence
from consensus.messages import CommitCertificate, Proposal, Vote, VoteKind
from consensus.timeouts import TimeoutKind, TimeoutSchedule
from consensus.validators import ValidatorSet


class HeightStarted(msgspec.Struct, frozen=True):
    """The driver has the parent block: the core drops the last height and waits in step NEW_HEIGHT."""

    height: int
    validators: ValidatorSet
    own_index: int | None
    timeouts: TimeoutSchedule
    """Those of this height: the chain's parameters may change from one height to the next."""


class ProposalReceived(msgspec.Struct, frozen=True):
    """A proposal whose signature, proposer and complete body the driver has checked; an invalid block still takes part, as invalid."""

    proposal: Proposal
    is_valid: bool
    is_timely: bool


class VoteReceived(msgspec.Struct, frozen=True):
    """A vote whose signature the driver has checked against the validator set of its height."""

    vote: Vote


class CertificateReceived(msgspec.Struct, frozen=True):
    """A verified commit certificate for a block that the driver holds and has executed: decides at once (R8)."""

    certificate: CommitCertificate


class TimeoutElapsed(msgspec.Struct, frozen=True):
    """A scheduled timeout has ended."""

    kind: TimeoutKind
    height: int
    round: int


class BlockBuilt(msgspec.Struct, frozen=True):
    """The answer to BuildBlock: the block that the driver built and executed."""

    height: int
    round: int
    block_id: bytes


Input: TypeAlias = HeightStarted | ProposalReceived | VoteReceived | CertificateReceived | TimeoutElapsed | BlockBuilt


class LockState(msgspec.Struct, array_like=True, frozen=True):
    """What a validator must not forget before it signs: locked and valid (round, block id); round -1 is unset."""

    locked_round: int
    locked_block_id: bytes | None
    valid_round: int
    valid_block_id: bytes | None


class BuildBlock(msgspec.Struct, frozen=True):
    """Build a new block for this height and answer with BlockBuilt."""

    height: int
    round: int


class SignProposal(msgspec.Struct, frozen=True):
    """Sign, log, sync, then send this proposal (with the block's body); feed it back as ProposalReceived."""

    height: int
    round: int
    block_id: bytes
    pol_round: int
    lock: LockState


class SignVote(msgspec.Struct, frozen=True):
    """Sign, log, sync, then send this vote; feed it back as VoteReceived."""

    kind: VoteKind
    height: int
    round: int
    block_id: bytes | None
    lock: LockState


class ScheduleTimeout(msgspec.Struct, frozen=True):
    """Feed TimeoutElapsed with these fields after `duration_ms`."""

    kind: TimeoutKind
    height: int
    round: int
    duration_ms: int


class RoundEntered(msgspec.Struct, frozen=True):
    """The core has entered a round: peers are told, logs and metrics follow."""

    height: int
    round: int
    proposer_index: int


class Decide(msgspec.Struct, frozen=True):
    """The block of this height is decided; the certificate holds a quorum of precommits."""

    certificate: CommitCertificate


class RecordEvidence(msgspec.Struct, frozen=True):
    """One validator signed two different messages of one kind in one round: reported once an offence."""

    evidence: Evidence


class Diverged(msgspec.Struct, frozen=True):
    """A quorum precommitted a block that this node found invalid: its execution or its software differs, it stops and says so."""

    certificate: CommitCertificate


Action: TypeAlias = (
    BuildBlock | SignProposal | SignVote | ScheduleTimeout | RoundEntered | Decide | RecordEvidence | Diverged
)
