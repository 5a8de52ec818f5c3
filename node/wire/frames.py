"""Frames: what two nodes send each other over a connection, one closed union, decoded canonically."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from consensus.messages import Digest, Height, Proposal, Round, Vote
from consensus.round import Step
from consensus.validators import MAX_VALIDATORS
from node.chain.codec import CodecError, encode
from node.chain.snapshot import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_OFFER_BYTES
from node.chain.transaction import MAX_TRANSACTION_BYTES

PROTOCOL_VERSION: Final = 2
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_FRAME_TRANSACTIONS: Final = 20_000
MAX_FRAME_VOTES: Final = 1_024
MAX_FRAME_BLOCKS: Final = 64
MAX_FRAME_EVIDENCE: Final = 64
MAX_EVIDENCE_BYTES: Final = 1_024
MAX_NODE_NAME_LENGTH: Final = 64
MAX_SOFTWARE_VERSION_LENGTH: Final = 32
MAX_BITMAP_BYTES: Final = (MAX_VALIDATORS + 7) // 8

RawTransaction = Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_BYTES)]
RawEvidence = Annotated[bytes, msgspec.Meta(max_length=MAX_EVIDENCE_BYTES)]
FinalHeight = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
WallTime = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
ChunkIndex = Annotated[int, msgspec.Meta(ge=0, lt=MAX_CHUNKS)]
Bitmap = Annotated[bytes, msgspec.Meta(max_length=MAX_BITMAP_BYTES)]
"""One bit a validator, least significant first: validator i is bit i % 8 of byte i // 8."""


class Hello(msgspec.Struct, array_like=True, frozen=True, tag=0, forbid_unknown_fields=True):
    """The first frame each way: which chain and rules this node follows, its name, its head, its release and its clock."""

    protocol_version: int
    genesis_hash: Digest
    parameters_hash: Digest
    """Of the chain parameters that hold for height + 1."""
    node_name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NODE_NAME_LENGTH)]
    height: FinalHeight
    head_id: Digest
    """Of the block at that height; the genesis hash at height 0."""
    software_version: Annotated[str, msgspec.Meta(max_length=MAX_SOFTWARE_VERSION_LENGTH)]
    time_ms: WallTime


class StatusFrame(msgspec.Struct, array_like=True, frozen=True, tag=1, forbid_unknown_fields=True):
    """Where this node stands: its last final height, the round and step it is in above that, and whose votes of it it knows."""

    height: FinalHeight
    round: Round
    step: Step
    time_ms: WallTime
    prevotes: Bitmap
    precommits: Bitmap


class TransactionsFrame(msgspec.Struct, array_like=True, frozen=True, tag=2, forbid_unknown_fields=True):
    """Transactions that clients gave to the sending node."""

    transactions: Annotated[list[RawTransaction], msgspec.Meta(max_length=MAX_FRAME_TRANSACTIONS)]


class ProposalFrame(msgspec.Struct, array_like=True, frozen=True, tag=3, forbid_unknown_fields=True):
    """A proposal, its encoded header, and the hashes of its transactions: the receiver holds most bodies already."""

    proposal: Proposal
    header: Annotated[bytes, msgspec.Meta(max_length=1_024)]
    transaction_hashes: Annotated[list[Digest], msgspec.Meta(max_length=MAX_FRAME_TRANSACTIONS)]
    evidence: Annotated[list[RawEvidence], msgspec.Meta(max_length=MAX_FRAME_EVIDENCE)]


class BodyRequest(msgspec.Struct, array_like=True, frozen=True, tag=4, forbid_unknown_fields=True):
    """Ask for the transactions with these hashes in the proposal with this block id."""

    block_id: Digest
    transaction_hashes: Annotated[list[Digest], msgspec.Meta(max_length=MAX_FRAME_TRANSACTIONS)]


class BodyResponse(msgspec.Struct, array_like=True, frozen=True, tag=5, forbid_unknown_fields=True):
    """The transactions asked for, in the order asked."""

    block_id: Digest
    transactions: Annotated[list[RawTransaction], msgspec.Meta(max_length=MAX_FRAME_TRANSACTIONS)]


class VotesFrame(msgspec.Struct, array_like=True, frozen=True, tag=6, forbid_unknown_fields=True):
    """Votes, the sender's own or others' that the receiver lacks."""

    votes: Annotated[list[Vote], msgspec.Meta(max_length=MAX_FRAME_VOTES)]


class BlockRequest(msgspec.Struct, array_like=True, frozen=True, tag=7, forbid_unknown_fields=True):
    """Ask for up to `count` final blocks from height `first` on."""

    first: Height
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_FRAME_BLOCKS)]


class BlockResponse(msgspec.Struct, array_like=True, frozen=True, tag=8, forbid_unknown_fields=True):
    """Encoded SealedBlocks in ascending height without a gap; fewer than asked where the frame would grow too long."""

    blocks: Annotated[list[bytes], msgspec.Meta(max_length=MAX_FRAME_BLOCKS)]


class EvidenceFrame(msgspec.Struct, array_like=True, frozen=True, tag=9, forbid_unknown_fields=True):
    """Encoded pieces of evidence of equivocation that the sender checked itself."""

    pieces: Annotated[list[RawEvidence], msgspec.Meta(max_length=MAX_FRAME_EVIDENCE)]


class OfferState(IntEnum):
    """What became of a request for a snapshot."""

    READY = 0
    MAKING = 1
    """Ask again."""
    BUSY = 2
    """As many nodes as are served at a time are being served."""
    NONE = 3
    """There is nothing to make one of, or it could not be made."""


class SnapshotRequest(msgspec.Struct, array_like=True, frozen=True, tag=16, forbid_unknown_fields=True):
    """Ask for an offer of a snapshot, by preference of the state after `height`, which several peers may stand at."""

    height: FinalHeight


class SnapshotResponse(msgspec.Struct, array_like=True, frozen=True, tag=17, forbid_unknown_fields=True):
    """An encoded SnapshotOffer of the snapshot of `height`, or why there is none (the offer is empty then)."""

    state: OfferState
    height: FinalHeight
    offer: Annotated[bytes, msgspec.Meta(max_length=MAX_OFFER_BYTES)]


class ChunkRequest(msgspec.Struct, array_like=True, frozen=True, tag=18, forbid_unknown_fields=True):
    """Ask for one chunk of the snapshot of `height`, by its place in the offer."""

    height: Height
    index: ChunkIndex


class ChunkResponse(msgspec.Struct, array_like=True, frozen=True, tag=19, forbid_unknown_fields=True):
    """The chunk asked for; empty where the sender holds that snapshot no more."""

    height: Height
    index: ChunkIndex
    chunk: Annotated[bytes, msgspec.Meta(max_length=MAX_CHUNK_BYTES)]


Frame: TypeAlias = (
    Hello
    | StatusFrame
    | TransactionsFrame
    | ProposalFrame
    | BodyRequest
    | BodyResponse
    | VotesFrame
    | BlockRequest
    | BlockResponse
    | EvidenceFrame
    | SnapshotRequest
    | SnapshotResponse
    | ChunkRequest
    | ChunkResponse
)

_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """Return the canonical bytes of a frame, without the length that the transport puts before it."""
    return encode(frame)


def decode_frame(raw: bytes) -> Frame:
    """Return the frame that `raw` canonically encodes; raise CodecError otherwise."""
    if len(raw) > MAX_FRAME_BYTES:
        raise CodecError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes, found {len(raw)}")
    try:
        frame = _DECODER.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
        raise CodecError(f"expected a frame: {error}") from None
    if encode(frame) != raw:
        raise CodecError("expected the canonical encoding of a frame, found another encoding of the same one")
    return frame
