"""Recovery: the records of the write-ahead log turned back into the inputs that the core consumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from consensus.events import BlockBuilt, Input, ProposalReceived, TimeoutElapsed, VoteReceived
from node.chain.block import decode_header
from node.chain.codec import CodecError
from node.driver.proposals import Candidate
from node.driver.signature_verifier import certified_transaction
from node.driver.write_ahead_log import (
    BlockLogged,
    BuiltLogged,
    HeightLogged,
    LogRecord,
    OwnProposalLogged,
    OwnVoteLogged,
    ProposalLogged,
    TimeoutLogged,
    VoteLogged,
)

ReplayStep: TypeAlias = Input | Candidate | OwnProposalLogged | OwnVoteLogged


class DamagedLog(Exception):
    """A record passed its checksum and yet cannot be what this program wrote."""


class Replay(msgspec.Struct, frozen=True):
    """What to do, in order: feed inputs, take up blocks, know own messages again (each goes before the input it is)."""

    is_voting: bool
    steps: list[ReplayStep]


def read_log(records: Sequence[LogRecord]) -> Replay:
    """Return the replay of one height's records; raise DamagedLog."""
    height, is_voting = 0, False
    steps: list[ReplayStep] = []
    for record in records:
        match record:
            case HeightLogged():
                height, is_voting = record.height, record.is_voting
            case BlockLogged():
                steps.append(_logged_candidate(record))
            case BuiltLogged(round=round_, block_id=block_id):
                steps.append(BlockBuilt(height, round_, block_id))
            case ProposalLogged(proposal=proposal, is_valid=is_valid, is_timely=is_timely):
                steps.append(ProposalReceived(proposal, is_valid, is_timely))
            case VoteLogged(vote=vote):
                steps.append(VoteReceived(vote))
            case TimeoutLogged(kind=kind, round=round_):
                steps.append(TimeoutElapsed(kind, height, round_))
            case OwnProposalLogged(proposal=proposal):
                steps += [record, ProposalReceived(proposal, is_valid=True, is_timely=True)]
            case OwnVoteLogged(vote=vote):
                steps += [record, VoteReceived(vote)]
    return Replay(is_voting, steps)


def _logged_candidate(record: BlockLogged) -> Candidate:
    try:
        bodies = [certified_transaction(raw) for raw in record.transactions]
        header = decode_header(record.header)
    except CodecError as error:
        raise DamagedLog(
            f"日志中有本程序读不了的区块 / the log holds a block that this program cannot read: {error}"
        ) from None
    candidate = Candidate(header, record.header, [body.hash for body in bodies], record.evidence)
    candidate.bodies = list(bodies)
    candidate.missing = {}
    candidate.is_logged = True
    return candidate
