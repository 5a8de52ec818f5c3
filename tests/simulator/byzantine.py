"""What Byzantine validators do: each is a correct node whose outgoing frames pass through a Behaviour."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from node.chain.block import block_id, decode_header
from node.chain.codec import encode
from node.driver.proposals import Candidate, own_candidate
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
        return _sign_vote(node, vote.kind, vote.height, vote.round, block_id, vote.validator_index)

    def _other_proposal(self, node: SimValidator, frame: ProposalFrame) -> ProposalFrame:
        proposal = frame.proposal
        if proposal.height != node.ledger.height + 1:
            return frame
        candidate = _empty_block(node, frame)
        node.world.plot[proposal.block_id] = candidate.id
        return candidate.frame(_sign_instead(node, proposal, candidate.id, proposal.pol_round))


class Liar(Behaviour):
    """Offers new blocks with a proof of lock that there is not, votes for them at once, and supports nobody else's block."""

    name = "liar"

    def __init__(self) -> None:
        self._lies: dict[tuple[int, int], list[bytes]] = {}

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        if isinstance(frame, VotesFrame):
            frame = VotesFrame([self._nil_vote(node, vote) for vote in frame.votes])
        elif isinstance(frame, ProposalFrame) and frame.proposal.signature in node.signer.made:
            place = (frame.proposal.height, frame.proposal.round)
            if place not in self._lies and place[1] and place[0] == node.ledger.height + 1:
                self._lies[place] = self._lie(node, frame)
            return self._lies.get(place, [encode_frame(frame)])
        return [encode_frame(frame)]

    def _lie(self, node: SimValidator, frame: ProposalFrame) -> list[bytes]:
        proposal = frame.proposal
        candidate = _empty_block(node, frame)
        lie = _sign_instead(node, proposal, candidate.id, node.world.random.randrange(proposal.round))
        kinds = (VoteKind.PREVOTE, VoteKind.PRECOMMIT)
        place = (proposal.height, proposal.round, candidate.id)
        votes = [_sign_vote(node, kind, *place, proposal.validator_index) for kind in kinds]
        return [encode_frame(candidate.frame(lie)), encode_frame(VotesFrame(votes))]

    def _nil_vote(self, node: SimValidator, vote: Vote) -> Vote:
        is_said = (vote.height, vote.round) in self._lies
        if vote.block_id is None or is_said or vote.signature not in node.signer.made:
            return vote
        return _sign_vote(node, vote.kind, vote.height, vote.round, None, vote.validator_index)


class Forger(Behaviour):
    """Proposes blocks whose header states another state than their execution comes to, and votes for them."""

    name = "forger"

    def __init__(self) -> None:
        self._forged: dict[bytes, ProposalFrame] = {}

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        if isinstance(frame, ProposalFrame) and frame.proposal.signature in node.signer.made:
            genuine = frame.proposal.block_id
            if genuine not in self._forged:
                header = msgspec.structs.replace(decode_header(frame.header), state_root=bytes(32))
                proposal = _sign_instead(node, frame.proposal, block_id(header), frame.proposal.pol_round)
                self._forged[genuine] = ProposalFrame(
                    proposal, encode(header), frame.transaction_hashes, frame.evidence
                )
            frame = self._forged[genuine]
        elif isinstance(frame, VotesFrame):
            frame = VotesFrame([self._other_vote(node, vote) for vote in frame.votes])
        return [encode_frame(frame)]

    def _other_vote(self, node: SimValidator, vote: Vote) -> Vote:
        forged = None if vote.block_id is None else self._forged.get(vote.block_id)
        if forged is None or vote.signature not in node.signer.made:
            return vote
        return _sign_vote(node, vote.kind, vote.height, vote.round, forged.proposal.block_id, vote.validator_index)


def _empty_block(node: SimValidator, frame: ProposalFrame) -> Candidate:
    """Return another valid block of the height that `node` proposes for."""
    time_ms = decode_header(frame.header).time_ms + 1
    return own_candidate(node.ledger.build_block([], time_ms, node.signer.address))


def _sign_vote(node: SimValidator, kind: VoteKind, height: int, round_: int, value: bytes | None, index: int) -> Vote:
    """Return a vote that the node's own core knows nothing of."""
    digest = vote_sign_digest(node.world.genesis.hash, kind, height, round_, value)
    return Vote(kind, height, round_, value, index, node.signer.sign(digest))


def _sign_instead(node: SimValidator, proposal: Proposal, other_id: bytes, pol_round: int) -> Proposal:
    """Return a proposal of another block for the same place."""
    place = (proposal.height, proposal.round, other_id, pol_round, proposal.validator_index)
    return Proposal(*place, node.signer.sign(proposal_sign_digest(node.world.genesis.hash, *place)))


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


BEHAVIOURS: tuple[type[Behaviour], ...] = (
    Silent,
    Equivocator,
    Equivocator,
    Replayer,
    Babbler,
    Flooder,
    Amnesiac,
    Liar,
    Liar,
    Forger,
)


def draw_behaviour(world: World) -> Behaviour:
    """Choose what a Byzantine validator of this run does."""
    return world.random.choice(BEHAVIOURS)()
