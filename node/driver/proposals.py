"""The blocks proposed at the current height: their bodies put together from the pool and from peers, their verdicts kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from consensus.messages import Proposal
from consensus.votes import FUTURE_ROUNDS_KEPT, MAX_PAST_ROUNDS
from contracts.parameters import ChainParameters
from node.chain.block import Header, block_id, decode_header, evidence_root
from node.chain.codec import CodecError, encode
from node.chain.transaction import VerifiedTransaction
from node.ledger.ledger import ExecutedBlock
from node.wire.frames import BodyResponse, ProposalFrame
from sm_crypto.merkle import merkle_root
from sm_crypto.sm3 import sm3_many

MAX_CANDIDATES: Final = 8
MAX_NOTED_ROUNDS: Final = MAX_PAST_ROUNDS + FUTURE_ROUNDS_KEPT + 2
"""The lowest round is forgotten first."""
MAX_BODY_RESPONSE_BYTES: Final = 13_000_000


class InvalidFrame(Exception):
    """A peer sent a proposal that no correct node sends: what it carries does not belong together."""


class Candidate:
    """One proposed block: its header, the hashes of its transactions, and their bodies as they come."""

    __slots__ = (
        "ask_after_batch",
        "bodies",
        "evidence",
        "executed",
        "hashes",
        "header",
        "header_bytes",
        "id",
        "invalid_reason",
        "is_logged",
        "latest",
        "missing",
        "requests",
        "sources",
        "waiting",
    )

    def __init__(self, header: Header, header_bytes: bytes, hashes: list[bytes], evidence: list[bytes]) -> None:
        """Take a header and the list that belongs to it; no body is here yet."""
        self.id = block_id(header)
        self.header = header
        self.header_bytes = header_bytes
        self.hashes = hashes
        self.evidence = evidence
        self.bodies: list[VerifiedTransaction | None] = [None] * len(hashes)
        self.missing = {transaction_hash: position for position, transaction_hash in enumerate(hashes)}
        self.invalid_reason: str | None = None
        """Why no correct validator votes for this block, None while nothing is known against it."""
        self.executed: ExecutedBlock | None = None
        self.is_logged = False
        self.latest: Proposal | None = None
        """The proposal of the highest round that names this block."""
        self.waiting: list[tuple[Proposal, int]] = []
        """Proposals, and when they came (wall ms), that wait for the body."""
        self.sources: list[str] = []
        """Peers that sent this proposal, so that they hold the body or will."""
        self.requests = 0
        """How often a peer was asked for bodies."""
        self.ask_after_batch: int | None = None
        """The number of the verification batch after which it is known which bodies must be asked for."""

    @property
    def is_judged(self) -> bool:
        """Whether it is known if this block is valid."""
        return self.executed is not None or self.invalid_reason is not None

    def fill(self, find: Callable[[bytes], VerifiedTransaction | None]) -> None:
        """Put in every missing body that `find` has by hash."""
        for transaction_hash in list(self.missing):
            found = find(transaction_hash)
            if found is not None:
                self.bodies[self.missing.pop(transaction_hash)] = found

    def transactions(self) -> list[VerifiedTransaction]:
        """Return the complete body."""
        return [body for body in self.bodies if body is not None]

    def raw_transactions(self) -> list[bytes]:
        """Return the full bytes of the complete body."""
        return [body.raw for body in self.bodies if body is not None]

    def frame(self, proposal: Proposal) -> ProposalFrame:
        """Return the frame that carries a proposal of this block."""
        return ProposalFrame(proposal, self.header_bytes, self.hashes, self.evidence)

    def body_response(
        self, hashes: Sequence[bytes], find: Callable[[bytes], VerifiedTransaction | None]
    ) -> BodyResponse:
        """Return those of the asked transactions that are here, as many as one frame takes."""
        positions = {transaction_hash: position for position, transaction_hash in enumerate(self.hashes)}
        raws: list[bytes] = []
        size = 0
        for transaction_hash in hashes:
            position = positions.get(transaction_hash)
            body = self.bodies[position] if position is not None else None
            body = body or find(transaction_hash)
            if body is None:
                continue
            size += len(body.raw)
            if size > MAX_BODY_RESPONSE_BYTES:
                break
            raws.append(body.raw)
        return BodyResponse(self.id, raws)


class ProposalBook:
    """The candidates of one height, at most MAX_CANDIDATES, and which proposal of each round came first."""

    def __init__(self) -> None:
        """Start empty."""
        self._candidates: dict[bytes, Candidate] = {}
        self._first_by_round: dict[int, Proposal] = {}

    def get(self, candidate_id: bytes) -> Candidate | None:
        """Return the candidate with this block id, or None."""
        return self._candidates.get(candidate_id)

    def all(self) -> list[Candidate]:
        """Return the candidates, oldest first."""
        return list(self._candidates.values())

    def first(self, round_: int) -> Proposal | None:
        """Return the proposal of this round that came first, or None."""
        return self._first_by_round.get(round_)

    def note(self, proposal: Proposal) -> None:
        """Remember a proposal whose signature was checked; its candidate, if here, is resent under the highest round."""
        self._first_by_round.setdefault(proposal.round, proposal)
        if len(self._first_by_round) > MAX_NOTED_ROUNDS:
            del self._first_by_round[min(self._first_by_round)]
        candidate = self._candidates.get(proposal.block_id)
        if candidate is not None and (candidate.latest is None or candidate.latest.round < proposal.round):
            candidate.latest = proposal

    def put(self, candidate: Candidate, keep: Iterable[bytes | None]) -> None:
        """Add a candidate; where there are too many, the oldest goes that `keep` does not name by its block id."""
        self._candidates[candidate.id] = candidate
        if len(self._candidates) > MAX_CANDIDATES:
            kept = {candidate.id, *keep}
            oldest = next((other for other in self._candidates if other not in kept), None)
            if oldest is not None:
                del self._candidates[oldest]


def open_frame(frame: ProposalFrame, parameters: ChainParameters) -> Candidate:
    """Return the candidate that a frame describes; raise InvalidFrame where its parts do not belong to the proposed block id.

    A block that belongs together and yet breaks a rule is a candidate with `invalid_reason`: a vote against it is due.
    """
    try:
        header = decode_header(frame.header)
    except CodecError as error:
        raise InvalidFrame(f"expected an encoded header in a proposal: {error}") from None
    if block_id(header) != frame.proposal.block_id:
        raise InvalidFrame("expected the header of the proposed block, found another one")
    if hashes_root(frame.transaction_hashes) != header.transactions_root:
        raise InvalidFrame("expected the transaction hashes of the proposed block, found others")
    if evidence_root(frame.evidence) != header.evidence_root:
        raise InvalidFrame("expected the evidence of the proposed block, found other pieces")
    candidate = Candidate(header, frame.header, frame.transaction_hashes, frame.evidence)
    if header.height != frame.proposal.height:
        candidate.invalid_reason = f"proposed at height {frame.proposal.height}, made for height {header.height}"
    elif len(frame.transaction_hashes) > parameters.max_block_transactions:
        candidate.invalid_reason = (
            f"{len(frame.transaction_hashes)} transactions, at most {parameters.max_block_transactions} are allowed"
        )
    elif len(candidate.missing) != len(candidate.hashes):
        candidate.invalid_reason = "a transaction stands in it twice"
    return candidate


def own_candidate(executed: ExecutedBlock) -> Candidate:
    """Return the candidate of a block that this node built and executed."""
    header = executed.header
    candidate = Candidate(
        header, encode(header), [transaction.hash for transaction in executed.transactions], list(executed.evidence)
    )
    candidate.bodies = list(executed.transactions)
    candidate.missing = {}
    candidate.executed = executed
    return candidate


def hashes_root(hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle root that a header names these 32-byte transaction hashes by."""
    return merkle_root(sm3_many([b"\x00" + transaction_hash for transaction_hash in hashes]))
