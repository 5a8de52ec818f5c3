"""The trace file as bytes: one encoding, bounded frames, and nothing that makes a reader crash or wait."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verification.access.audit_world import AuditWorld, draft_read
from verification.access.opened_reads import open_read
from verification.access.trace_file import (
    FIRST_LINE,
    MAX_FRAME_BYTES,
    MAX_PIECE_READS,
    EndFrame,
    encode_frame,
    is_trace,
    pieces,
    read_frames,
)
from verification.access.trace_verification import TraceFacts
from verification.errors import InputError


@pytest.fixture(scope="module")
def made() -> tuple[AuditWorld, bytes]:
    world = AuditWorld()
    world.both([draft_read(number) for number in range(1, 5)])
    world.close_period()
    return world, world.trace()[0]


def test_a_trace_says_what_it_is_in_its_first_line(made: Any) -> None:
    _, raw = made
    assert raw.startswith(b"govnode-access-trace/1\n")
    assert is_trace(raw[:64])
    assert not is_trace(b"{}")
    frames = list(read_frames(io.BytesIO(raw).read))
    assert FIRST_LINE + b"".join(map(encode_frame, frames)) == raw


def test_a_file_that_comes_in_drops_reads_the_same(made: Any) -> None:
    _, raw = made
    source = io.BytesIO(raw)
    frames = list(read_frames(lambda count: source.read(min(count, 7))))
    assert frames == list(read_frames(io.BytesIO(raw).read))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_any_bytes_are_a_trace_or_refused_by_name(raw: bytes, length: int) -> None:
    for tail in (raw, len(raw).to_bytes(4, "big") + raw, length.to_bytes(4, "big") + raw):
        # Whatever it is, nothing but InputError comes out of it.
        with contextlib.suppress(InputError):
            list(read_frames(io.BytesIO(FIRST_LINE + tail).read))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(made: Any, data: st.DataObject) -> None:
    """Whatever byte is changed: a fault is named, but where it is only the time of making or the query that the maker claims."""
    world, raw = made
    position = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    verdict, untouched = world.verify(bytes(changed)), world.verify(raw)
    if verdict.is_sound:
        claims = {name: getattr(untouched, name) for name in ("made_ms", "query", "query_digest", "filter")}
        for name, value in claims.items():
            setattr(verdict, name, value)
        # What does not reach the end of the period depends on the period that is claimed.
        of_period = ("open_streams", "open_count", "pending_streams", "pending_count", "covered_until_ms", "matches")
        said = [name for name in verdict.__struct_fields__ if name not in of_period]
        assert all(getattr(verdict, name) == getattr(untouched, name) for name in said)


def test_a_frame_has_one_encoding_and_a_largest_size() -> None:
    for raw in (
        b"\x00\x00\x00\x00",
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x03\x92\xa3e",
        b"\x00\x00\x00\x0a" + msgspec.msgpack.encode(["end", 5])[:-1] + b"\xcd\x00\x05",
    ):
        with pytest.raises(InputError, match="not a trace file"):
            list(read_frames(io.BytesIO(FIRST_LINE + raw).read))
    assert list(read_frames(io.BytesIO(FIRST_LINE + encode_frame(EndFrame(5))).read)) == [EndFrame(5)]


def test_reads_stand_in_pieces_of_bounded_size(made: Any) -> None:
    world, _ = made
    opened = open_read(world.provider.reads[0], world.wanted())
    sizes = [len(frame.reads) for frame in pieces(iter([opened] * (2 * MAX_PIECE_READS + 1)))]
    assert (sum(sizes), max(sizes)) == (2 * MAX_PIECE_READS + 1, MAX_PIECE_READS)
    assert list(pieces(iter([]))) == []


def test_facts_are_told_of_what_holds(made: Any) -> None:
    world, raw = made
    seen: dict[str, list[Any]] = {"read": [], "batch": [], "stream": [], "grant": []}
    facts = TraceFacts(
        on_read=lambda read, batch: seen["read"].append((read.side, read.number, batch.batch_number)),
        on_batch=seen["batch"].append,
        on_stream=seen["stream"].append,
        on_grant=lambda grant, record: seen["grant"].append(record.resource if record else None),
    )
    world.verify(raw, facts)
    assert seen["read"] == [(side, number, 1) for side in ("provider", "consumer") for number in range(1, 5)]
    assert [stream.department for stream in seen["stream"]] == [world.provider.department, world.consumer.department]
    assert (len(seen["batch"]), seen["grant"]) == (4, ["307013301/000001"])
