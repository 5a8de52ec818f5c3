"""What Byzantine validators do: each is a correct node whose outgoing frames pass through a Behaviour."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from node.chain.block import decode_header
from node.driver.proposals import own_candidate
from node.wire.frames import Frame, ProposalFrame, VotesFrame, encode_frame

if TYPE_CHECKING:
    from tests.simulator.validator import SimValidator
    from tests.simulator.world import World

MAX_HEARD_FRAMES = 100
FLOOD_VOTES = 60
MISCHIEF_PROBABILITY = 0.1


class Behaviour:
    """Decides which bytes leave for each peer in place of a frame; this one sends what a correct node sends."""

    name = "correct"
    forgets = False
    """Whether it is restarted again and again as if its key had never signed."""

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        """Return the encoded frames that `target` gets."""
        return [encode_frame(frame)]

    def heard(self, raw: bytes) -> None:
        """Take note of what a peer sent."""


class Silent(Behaviour):
    """Takes part in nothing."""

    name = "silent"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        return []


class Equivocator(Behaviour):
    """Shows one half of the network other votes and other proposals than the other half; all of a run plot together."""

    name = "equivocator"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        if node.world.correct.index(target) % 2 if target.is_correct else False:
            if isinstance(frame, VotesFrame):
                frame = VotesFrame([self._other_vote(node, vote) for vote in frame.votes])
            elif isinstance(frame, ProposalFrame) and frame.proposal.signature in node.signer.made:
                frame = self._other_proposal(node, frame)
        return [encode_frame(frame)]

    def _other_vote(self, node: SimValidator, vote: Vote) -> Vote:
        if vote.signature not in node.signer.made:
            return vote
        block_id = None if vote.block_id is None else node.world.plot.get(vote.block_id)
        digest = vote_sign_digest(node.world.genesis.hash, vote.kind, vote.height, vote.round, block_id)
        return Vote(vote.kind, vote.height, vote.round, block_id, vote.validator_index, node.signer.sign(digest))

    def _other_proposal(self, node: SimValidator, frame: ProposalFrame) -> ProposalFrame:
        proposal = frame.proposal
        if proposal.height != node.ledger.height + 1:
            return frame
        header = decode_header(frame.header)
        candidate = own_candidate(node.ledger.build_block([], header.time_ms + 1, node.signer.address))
        node.world.plot[proposal.block_id] = candidate.id
        digest = proposal_sign_digest(
            node.world.genesis.hash,
            proposal.height,
            proposal.round,
            candidate.id,
            proposal.pol_round,
            proposal.validator_index,
        )
        other = Proposal(
            proposal.height,
            proposal.round,
            candidate.id,
            proposal.pol_round,
            proposal.validator_index,
            node.signer.sign(digest),
        )
        return candidate.frame(other)


class Replayer(Behaviour):
    """Sends again what it heard or said long ago."""

    name = "replayer"

    def __init__(self) -> None:
        self._heard: deque[bytes] = deque(maxlen=MAX_HEARD_FRAMES)

    def heard(self, raw: bytes) -> None:
        self._heard.append(raw)

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        raw = encode_frame(frame)
        stale = []
        if self._heard and node.world.random.random() < 3 * MISCHIEF_PROBABILITY:
            stale.append(node.world.random.choice(self._heard))
        self._heard.append(raw)
        return [raw, *stale]


class Babbler(Behaviour):
    """Sends bytes that are no frame, and frames with a changed byte."""

    name = "babbler"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        raw = encode_frame(frame)
        chance = node.world.random
        if chance.random() >= MISCHIEF_PROBABILITY:
            return [raw]
        changed = bytearray(raw)
        changed[chance.randrange(len(raw))] = chance.randrange(256)
        return [chance.choice((bytes(changed), raw[: chance.randrange(len(raw))], chance.randbytes(40)))]


class Flooder(Behaviour):
    """Signs votes for rounds and heights that nobody has reached, many of them."""

    name = "flooder"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        raw = encode_frame(frame)
        chance = node.world.random
        index = node.ledger.validators().index_of(node.signer.address)
        if index is None or chance.random() >= MISCHIEF_PROBABILITY / 2:
            return [raw]
        votes = []
        for _ in range(FLOOD_VOTES):
            kind = chance.choice((VoteKind.PREVOTE, VoteKind.PRECOMMIT))
            height = node.ledger.height + chance.choice((1, 1, 1, 2, 3, 1_000, 2**40))
            round_ = chance.choice((0, 1, 3, 50, 2**30))
            block_id = chance.choice((None, chance.randbytes(32)))
            digest = vote_sign_digest(node.world.genesis.hash, kind, height, round_, block_id)
            votes.append(Vote(kind, height, round_, block_id, index, node.signer.sign(digest)))
        return [raw, encode_frame(VotesFrame(votes))]


class Amnesiac(Behaviour):
    """Forgets again and again what it signed, and votes on."""

    name = "amnesiac"
    forgets = True


BEHAVIOURS: tuple[type[Behaviour], ...] = (Silent, Equivocator, Equivocator, Replayer, Babbler, Flooder, Amnesiac)


def draw_behaviour(world: World) -> Behaviour:
    """Choose what a Byzantine validator of this run does."""
    return world.random.choice(BEHAVIOURS)()
