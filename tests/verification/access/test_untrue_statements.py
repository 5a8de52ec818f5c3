"""What a recorder itself puts on the ledger and is not so, and what a trace's maker says of grants: the offline verifier names each."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from contracts.data_sharing import access
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import DEPARTMENT
from tests.verification.access.audit_world import AuditWorld, draft_read, reads_of
from verification.access.opened_reads import open_read
from verification.access.reads import Read, batch_root, draft_of, encode_read, number_read, read_digest
from verification.access.trace_file import (
    FIRST_LINE,
    AlteredPlace,
    BatchFrame,
    Frame,
    GrantFrame,
    GrantsFrame,
    ReadsFrame,
    encode_frame,
    read_frames,
)

OTHER_GRANT = sm3(b"other grant")


def frames_of(raw: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(raw).read))


def codes(world: AuditWorld, frames: list[Frame] | bytes) -> list[tuple[str, int]]:
    """Return what is wrong with a trace, each with the number of the read."""
    raw = frames if isinstance(frames, bytes) else FIRST_LINE + b"".join(map(encode_frame, frames))
    return [(fault.code, fault.number) for fault in world.verify(raw).faults]


def put_batch(world: AuditWorld, read_ms: int = 0, purpose: str = "", **stated: Any) -> Read:
    """Put read 7 on the ledger as the provider's next batch, of two seconds, with what its recorder states instead of what is so."""
    recorder, chain = world.provider, world.chain
    from_ms, previous = recorder.covered_ms, read_digest(recorder.reads[-1])
    draft = draft_read(7, at_ms=read_ms or from_ms)
    if purpose:
        draft = msgspec.structs.replace(draft, case=msgspec.structs.replace(draft.case, purpose=purpose))
    read = number_read(draft, DEPARTMENT, recorder.address, 7, previous, read_ms or from_ms)
    chain.time_ms = from_ms + 2_000
    said = {"batch_number": 4, "first_number": 7, "count": 1, "previous_digest": previous, "rows": 1}
    said |= {"last_digest": read_digest(read), "root": batch_root([read_digest(read)])}
    said |= {"from_ms": from_ms, "to_ms": chain.time_ms, "served": 1, "denied": 0, "irregular": 0}
    chain.call(recorder.key, "access", "record_batch", **said | stated)
    recorder.store[4] = [encode_read(read)]
    return read


@pytest.mark.parametrize(
    "stated", [{"rows": 0}, {"rows": 2}, {"served": 0, "denied": 1}, {"served": 0, "irregular": 1}]
)
def test_a_batch_that_counts_its_reads_otherwise_is_named(world: AuditWorld, stated: dict[str, Any]) -> None:
    put_batch(world, **stated)
    assert codes(world, world.trace(to_ms=world.chain.time_ms)[0]) == [("TALLY_WRONG", 0)]


def test_rows_are_counted_where_every_read_shows_them(world: AuditWorld) -> None:
    put_batch(world, rows=2)
    # The trace of another grant shows how each read ended, and not its rows.
    assert codes(world, world.trace(to_ms=world.chain.time_ms, grant=OTHER_GRANT)[0]) == []


@pytest.mark.parametrize("by_ms", [-1, 2_001])
def test_a_read_outside_of_its_batchs_time_is_named(world: AuditWorld, by_ms: int) -> None:
    put_batch(world, read_ms=world.provider.covered_ms + by_ms)
    assert ("BACK_DATED", 7) in codes(world, world.trace(to_ms=world.chain.time_ms + 10_000)[0])


def test_a_read_that_no_recorder_may_state_is_named(world: AuditWorld) -> None:
    """A text that hides what is behind it: whoever shows the read all the same shows that it should not be there."""
    read = put_batch(world, purpose="核验\u202e")
    wanted = world.wanted(to_ms=world.chain.time_ms)
    frames = frames_of(world.trace(wanted)[0])
    place = [index for index, frame in enumerate(frames) if isinstance(frame, BatchFrame)][3]
    frame = frames[place]
    assert isinstance(frame, BatchFrame)
    assert not frame.has_reads
    shown: list[Frame] = [
        msgspec.structs.replace(frame, has_reads=True, reason="", altered=()),
        ReadsFrame((open_read(read, wanted),)),
    ]
    found = codes(world, [*frames[:place], *shown, *frames[place + 1 :]])
    assert ("READ_FOREIGN", 7) in found


@pytest.mark.parametrize("change", [{"from_ms": 1}, {"first_number": 5}, {"previous_digest": sm3(b"another")}])
def test_a_batch_that_does_not_go_on_from_the_last_is_named(world: AuditWorld, change: dict[str, Any]) -> None:
    """The contract takes none; a ledger that has one all the same is not believed."""
    state, key = world.chain.state, access.batch_key(DEPARTMENT, world.provider.address, 2)
    state[key] = msgspec.msgpack.encode(msgspec.structs.replace(access.BATCHES.decode(state[key]), **change))
    assert "BATCH_BROKEN" in [code for code, _ in codes(world, world.trace()[0])]


def test_a_stream_that_stands_elsewhere_than_its_last_batch_ends_is_named(world: AuditWorld) -> None:
    state, key = world.chain.state, access.stream_key(DEPARTMENT, world.provider.address)
    kept = state[key]
    for change in ({"number": 7}, {"digest": sm3(b"another")}, {"covered_ms": 2**41}):
        state[key] = msgspec.msgpack.encode(msgspec.structs.replace(access.STREAMS.decode(kept), **change))
        assert [code for code, _ in codes(world, world.trace()[0])] == ["BATCH_BROKEN"]


def test_grants_stand_once_and_in_order_and_as_of_the_traces_block_or_later(world: AuditWorld) -> None:
    world.save_grant(OTHER_GRANT)
    world.both([draft_read(7, grant=OTHER_GRANT)])
    early = frames_of(world.trace()[0])
    world.close_period()
    frames = frames_of(world.trace()[0])
    at = [index for index, frame in enumerate(frames) if isinstance(frame, GrantFrame)]
    assert len(at) == 2
    swapped = [*frames[: at[0]], frames[at[1]], frames[at[0]], *frames[at[1] + 1 :]]
    assert codes(world, swapped) == [("TRACE_MALFORMED", 0)]
    assert codes(world, [*frames[: at[0]], frames[at[0]], *frames[at[0] :]]) == [("TRACE_MALFORMED", 0)]
    # What was granted as of an earlier block is not what the reads were judged by.
    old = [frame for frame in early if isinstance(frame, GrantsFrame | GrantFrame)]
    assert codes(world, [*frames[: at[0] - 1], *old, *frames[at[1] + 1 :]]) == [("NOT_FINAL", 0)]


def test_a_department_has_a_part_in_what_it_recorded_for_others(world: AuditWorld) -> None:
    """A recorder that states a read between two others is found by its own department too."""
    drafts = [draft_of(world.provider.reads[-1])]
    sharing = msgspec.structs.replace(drafts[0].sharing, provider="11990100MB00000098", consumer="11990100MB00000099")
    world.provider.record([msgspec.structs.replace(drafts[0], sharing=sharing)])
    world.close_period()
    raw = world.trace(department=DEPARTMENT)[0]
    assert codes(world, raw) == []
    assert [read.number for read in reads_of(world, raw) if read.department == DEPARTMENT] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("has_reads", "code", "is_taken"),
    [(True, "READ_EDITED", True), (True, "NOT_A_CODE", False), (False, "READ_EDITED", False)],
)
def test_a_store_is_said_to_be_altered_by_its_own_codes_of_reads_that_there_are(
    world: AuditWorld, has_reads: bool, code: str, is_taken: bool
) -> None:
    world.close_period()
    frames = frames_of(world.trace(world.wanted(to_ms=world.chain.time_ms))[0])
    counts = [
        access.BATCHES.decode(frame.batch.value or b"").count if isinstance(frame, BatchFrame) else -1
        for frame in frames
    ]
    place = next(index for index, count in enumerate(counts) if (count > 0) == has_reads and count >= 0)
    frame = frames[place]
    assert isinstance(frame, BatchFrame)
    claimed = msgspec.structs.replace(frame, altered=(AlteredPlace("store", code, 2),))
    found = {one for one, _ in codes(world, [*frames[:place], claimed, *frames[place + 1 :]])}
    assert ("TRACE_MALFORMED" not in found) == is_taken
