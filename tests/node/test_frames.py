"""Frames: every kind comes back as it was sent; edited bytes and noise are other frames or CodecError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages import Proposal, Vote, VoteKind
from consensus.round import Step
from node.chain.codec import CodecError
from node.chain.snapshot import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_OFFER_BYTES
from node.wire.frames import (
    MAX_FRAME_BYTES,
    BlockRequest,
    BlockResponse,
    BodyRequest,
    BodyResponse,
    ChunkRequest,
    ChunkResponse,
    EvidenceFrame,
    Frame,
    Hello,
    OfferState,
    ProposalFrame,
    SnapshotRequest,
    SnapshotResponse,
    StatusFrame,
    TransactionsFrame,
    VotesFrame,
    decode_frame,
    encode_frame,
)

digests = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
heights = st.integers(1, 2**62)
final_heights = times = st.integers(0, 2**62)
bitmaps = st.binary(max_size=16)
rounds = st.integers(0, 2**31 - 1)
indices = st.integers(0, 1023)
raws = st.lists(st.binary(max_size=40), max_size=4)
proposals = st.builds(Proposal, heights, rounds, digests, st.integers(-1, 2**31 - 1), indices, signatures)
votes = st.builds(Vote, st.sampled_from(VoteKind), heights, rounds, st.none() | digests, indices, signatures)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        Hello,
        st.integers(0, 9),
        digests,
        digests,
        st.text(min_size=1, max_size=9),
        final_heights,
        digests,
        st.text(max_size=32),
        times,
    ),
    st.builds(StatusFrame, final_heights, rounds, st.sampled_from(Step), times, bitmaps, bitmaps),
    st.builds(TransactionsFrame, raws),
    st.builds(ProposalFrame, proposals, st.binary(max_size=100), st.lists(digests, max_size=4), raws),
    st.builds(BodyRequest, digests, st.lists(digests, max_size=4)),
    st.builds(BodyResponse, digests, raws),
    st.builds(VotesFrame, st.lists(votes, max_size=3)),
    st.builds(BlockRequest, heights, st.integers(1, 64)),
    st.builds(BlockResponse, raws),
    st.builds(EvidenceFrame, raws),
    st.builds(SnapshotRequest, final_heights),
    st.builds(SnapshotResponse, st.sampled_from(OfferState), final_heights, st.binary(max_size=40)),
    st.builds(ChunkRequest, heights, st.integers(0, MAX_CHUNKS - 1)),
    st.builds(ChunkResponse, heights, st.integers(0, MAX_CHUNKS - 1), st.binary(max_size=40)),
)


@settings(max_examples=150, deadline=None)
@given(frames)
def test_a_frame_comes_back_as_it_was_sent(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@settings(max_examples=300, deadline=None)
@given(frames, st.data())
def test_edited_frames_are_other_frames_or_refused(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode_frame(frame))
    at = data.draw(st.integers(0, len(raw) - 1))
    edit = data.draw(st.sampled_from(["set", "insert", "cut"]))
    if edit == "set":
        raw[at] = data.draw(st.integers(0, 255))
    elif edit == "insert":
        raw.insert(at, data.draw(st.integers(0, 255)))
    else:
        del raw[at:]
    with suppress(CodecError):
        assert encode_frame(decode_frame(bytes(raw))) == raw


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_no_frame(raw: bytes) -> None:
    try:
        assert encode_frame(decode_frame(raw)) == raw
    except CodecError as error:
        assert "expected" in str(error)  # noqa: PT017 - most noise is refused, and a lucky frame is no failure


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x91\x63",  # no frame has this tag
        b"\x93\x01\x00\x00\x00",  # bytes after the end
        b"\x94\x01\x00\x00\x00",  # a field too many
        b"\x92\x02\xdd\xff\xff\xff\xff",  # a list that says it has four thousand million items
        b"\x92\x02\xc6\xff\xff\xff\xff",
        b"\x91" * 200_000,
        b"\x92\x08\xdc\x00\x41" + b"\xc4\x00" * 65,  # 65 blocks, at most 64
        b"\x92\x10\xff",  # a snapshot of height -1
        b"\x94\x11\x04\x01\xc4\x00",  # no such answer to a request for a snapshot
        b"\x94\x11\x00\x01" + b"\xc6" + (MAX_OFFER_BYTES + 1).to_bytes(4) + bytes(MAX_OFFER_BYTES + 1),
        b"\x93\x12\x01\xff",  # chunk -1
        b"\x93\x12\x00\x00",  # of the genesis, which is no block
        b"\x93\x12\x01\xce" + MAX_CHUNKS.to_bytes(4),
        b"\x94\x13\x01\x00" + b"\xc6" + (MAX_CHUNK_BYTES + 1).to_bytes(4) + bytes(MAX_CHUNK_BYTES + 1),
    ],
)
def test_malformed_frames_are_refused(raw: bytes) -> None:
    with pytest.raises(CodecError, match="expected"):
        decode_frame(raw)


def test_the_longest_offer_and_chunk_fit_into_a_frame() -> None:
    for frame in (
        SnapshotResponse(OfferState.READY, 2**62, bytes(MAX_OFFER_BYTES)),
        ChunkResponse(2**62, MAX_CHUNKS - 1, bytes(MAX_CHUNK_BYTES)),
    ):
        assert decode_frame(encode_frame(frame)) == frame


def test_an_oversized_frame_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(CodecError, match=f"at most {MAX_FRAME_BYTES} bytes, found {MAX_FRAME_BYTES + 1}"):
        decode_frame(bytes(MAX_FRAME_BYTES + 1))
