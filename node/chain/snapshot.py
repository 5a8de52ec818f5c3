"""State snapshots: what an offer must show before anything of it is fetched, and what a chunk must be (docs/spec/snapshot.md)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, NamedTuple

import msgspec

from consensus.messages import CommitCertificate, Digest
from consensus.validators import ValidatorSet
from node.chain.block import Header, block_id
from node.chain.codec import CodecError, decode, encode
from node.chain.genesis import Genesis
from node.chain.proof import MAX_PROOF_WALK, Members, ProofError, SetChange, TrustAnchor, verify_final_header
from node.chain.state_tree import Subtree, build_subtree, join_subtrees
from node.chain.world_state import MAX_STATE_KEY_BYTES, MAX_STATE_VALUE_BYTES
from sm_crypto.merkle import AppendOnlyTree, MerkleError

SNAPSHOT_VERSION: Final = 1
MAX_OFFER_BYTES: Final = 12_000_000
MAX_CHUNKS: Final = 65_536
MAX_CHUNK_PREFIX: Final = 32
TARGET_CHUNK_BYTES: Final = 1_000_000
MAX_CHUNK_BYTES: Final = TARGET_CHUNK_BYTES + MAX_STATE_VALUE_BYTES + MAX_STATE_KEY_BYTES + 64
"""A chunk that would be longer than the target is divided, unless it is of one entry."""

Summary = Annotated[bytes, msgspec.Meta(min_length=32, max_length=64)]
ChunkEntry = tuple[
    Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_KEY_BYTES)],
    Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_VALUE_BYTES)],
]


class ChunkSummary(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One chunk: the nibbles that the paths of its keys begin with, and what the tree says of what lies there."""

    prefix: Annotated[str, msgspec.Meta(max_length=MAX_CHUNK_PREFIX, pattern=r"\A[0-9a-f]*\Z")]
    summary: Summary
    """The hash of an inner node (32 bytes), or path || value hash of a lone leaf (64 bytes)."""


class SnapshotOffer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The state after a final block, as the list of its chunks, and what shows that the block is final.

    `walk` holds every change of the validator set from genesis on; `history_peaks` is the append-only tree over the ids of
    the blocks before the header's.
    """

    version: Annotated[int, msgspec.Meta(ge=SNAPSHOT_VERSION, le=SNAPSHOT_VERSION)]
    header: Header
    certificate: CommitCertificate
    validators: Members
    walk: Annotated[tuple[SetChange, ...], msgspec.Meta(max_length=MAX_PROOF_WALK)]
    history_peaks: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=64)]
    chunks: Annotated[tuple[ChunkSummary, ...], msgspec.Meta(min_length=1, max_length=MAX_CHUNKS)]


class BadSnapshot(Exception):
    """An offer or a chunk is not what the chain made final; the message says how."""


class VerifiedOffer(NamedTuple):
    """What an offer has shown: its block's id, the sets of validators by hash, and the tree's nodes above the chunks."""

    offer: SnapshotOffer
    block_id: bytes
    sets: dict[bytes, ValidatorSet]
    top_nodes: dict[str, bytes]


def decode_offer(raw: bytes) -> SnapshotOffer:
    """Return the offer that `raw` canonically encodes; raise BadSnapshot when it is too long or anything else."""
    if len(raw) > MAX_OFFER_BYTES:
        raise BadSnapshot(f"expected an offer of at most {MAX_OFFER_BYTES} bytes, found {len(raw)}")
    try:
        return decode(raw, SnapshotOffer)
    except CodecError as error:
        raise BadSnapshot(f"expected an offer: {error}") from None


def verify_offer(offer: SnapshotOffer, genesis: Genesis) -> VerifiedOffer:
    """Return the offer's block id, sets and upper tree nodes; raise BadSnapshot when the genesis does not lead to it."""
    header = offer.header
    identifier = block_id(header)
    trust = TrustAnchor(genesis.hash, 0, genesis.validator_set().hash)
    try:
        verify_final_header(header, offer.certificate, offer.validators, offer.walk, trust)
        history = AppendOnlyTree(header.height - 1, offer.history_peaks)
    except ProofError as error:
        raise BadSnapshot(f"height {header.height}: {error}") from None
    except MerkleError as error:
        raise BadSnapshot(f"history: {error}") from None
    if history.root() != header.history_root:
        raise BadSnapshot("history: the earlier blocks are not those that the header names")
    if any(later.prefix <= earlier.prefix for earlier, later in pairwise(offer.chunks)):
        raise BadSnapshot("chunks: expected them in ascending order, each once")
    try:
        tree = join_subtrees("", header.height, [(chunk.prefix, chunk.summary) for chunk in offer.chunks])
    except ValueError as error:
        raise BadSnapshot(f"chunks: {error}") from None
    if tree.summary != header.state_root:
        raise BadSnapshot("chunks: they do not lead to the state root of the header")
    members = [change.validators for change in offer.walk] + [offer.validators]
    sets = {found.hash: found for found in map(ValidatorSet, members)}
    return VerifiedOffer(offer, identifier, sets, tree.nodes)


def encode_chunk(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a chunk; `entries` are (key, value) in the order of keys."""
    return encode(entries)


def verify_chunk(raw: bytes, chunk: ChunkSummary, height: int) -> tuple[list[tuple[bytes, bytes]], Subtree]:
    """Return the chunk's (key, value) and its subtree, of version `height`; raise BadSnapshot when it is not what was offered."""
    if len(raw) > MAX_CHUNK_BYTES:
        raise BadSnapshot(f"chunk {chunk.prefix!r}: expected at most {MAX_CHUNK_BYTES} bytes, found {len(raw)}")
    try:
        entries = decode(raw, list[ChunkEntry])
        if any(later[0] <= earlier[0] for earlier, later in pairwise(entries)):
            raise BadSnapshot(f"chunk {chunk.prefix!r}: expected keys in ascending order, each once")
        subtree = build_subtree(chunk.prefix, height, dict(entries))
    except (CodecError, ValueError) as error:
        raise BadSnapshot(f"chunk {chunk.prefix!r}: {error}") from None
    if subtree.summary != chunk.summary:
        raise BadSnapshot(f"chunk {chunk.prefix!r}: its entries do not lead to the hash under the state root")
    return entries, subtree
