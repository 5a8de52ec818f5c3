"""Keeping a stream going whose reads come now and then, from commands: what it declares, heartbeats, and copies, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from contracts.data_sharing.access import MAX_HEARTBEAT_S
from sdk.access_recording.anchorer import Anchorer, find_stream, store_forked
from sdk.access_recording.policy import RecordingPolicy, declaration
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, KeepingNode, authority_key
from sdk.client import Client
from verification.errors import InputError

STORE_WAIT_S: Final = 15.0
"""How long a command waits for another one of the same store: a block or two."""
COMMANDS_HEARTBEAT_S: Final = MAX_HEARTBEAT_S
"""Of a stream that commands begin: a day, so that a timer that comes twice a day, or a clerk who reads every day, is never late."""
_POLL_S: Final = 0.2


class Turn(NamedTuple):
    """How far a stream is after a turn: its last batch on the ledger, until when that covers and the next is due (ms), batches copied."""

    batch_number: int
    covered_ms: int
    due_ms: int
    copied: int


def policy_of_stream(client: Client, department: str, **changes: Any) -> RecordingPolicy:
    """Return what the ledger has declared for the client's stream, that of a stream of commands where there is none, with these changes.

    So a command that records reads declares nothing anew that another one has declared.
    """
    policy = RecordingPolicy(heartbeat_s=COMMANDS_HEARTBEAT_S)
    if (stream := find_stream(client, department)) is not None:
        policy = RecordingPolicy(**{name: getattr(stream, name) for name in declaration(policy)})
    policy = msgspec.structs.replace(policy, **changes)
    return msgspec.structs.replace(policy, anchor_after_s=min(policy.anchor_after_s, policy.heartbeat_s))


def open_recorder(path: Path, client: Client, department: str, policy: RecordingPolicy) -> Recorder:
    """Return the recorder of a store that fits the ledger, once no other process has it.

    Raises InputError STORE_IN_USE after STORE_WAIT_S, and STORE_FORKED before anything is recorded in a store that is not the stream's.
    """
    if not path.exists() and (stream := find_stream(client, department)) is not None and stream.batch_number:
        # No file is made for a path that was mistyped.
        raise store_forked(stream.batch_number, path)
    until_s = time.monotonic() + STORE_WAIT_S
    while True:
        try:
            return _fitting(Recorder(path, department, client.address, policy), client)
        except InputError as error:
            if error.code != "STORE_IN_USE" or time.monotonic() > until_s:
                raise
        time.sleep(_POLL_S)


def _fitting(recorder: Recorder, client: Client) -> Recorder:
    """Return a recorder whose store has what the ledger has; close it and raise otherwise."""
    try:
        Anchorer(recorder, client).check_store()
    except BaseException:
        recorder.close()
        raise
    return recorder


def keep_stream(
    path: Path,
    client: Client,
    department: str,
    policy: RecordingPolicy,
    places: Sequence[ArchiveFolder | KeepingNode] = (),
) -> Turn:
    """Declare the stream, send every batch and heartbeat that is due, and copy what the places lack; raise GovnodeError.

    The store is free again when this returns, so that a read from a shell finds it so.
    """
    with open_recorder(path, client, department, policy) as recorder:
        anchorer = Anchorer(recorder, client)
        anchorer.step()
        # The next turn may come later than a recorder at work would look again, for which half the promise is soon enough.
        if recorder.now_ms() - recorder.planned_ms >= policy.heartbeat_s * 250:
            recorder.plan_next()
        while anchorer.step():
            pass
        copied = 0
        copier = BodyCopier(recorder.store, places, lambda: authority_key(client))
        while places and copier.step():
            copied += 1
        last = recorder.store.last_recorded()
        promised_ms = policy.heartbeat_s * 1_000
        if last is None:
            return Turn(0, 0, recorder.planned_ms + promised_ms, copied)
        return Turn(last.batch_number, last.to_ms, last.to_ms + promised_ms, copied)
