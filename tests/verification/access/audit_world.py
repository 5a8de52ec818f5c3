"""A ledger with streams of access records, the recorders' stores beside it, and traces of both: what the tests of audits share."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import msgspec

from contracts import registry
from contracts.data_sharing import access, sharing
from contracts.data_sharing.access import BatchRecord, StreamRecord
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.sharing import GRANTED, STOPPED, WAITING, RequestInterval, RequestRecord
from contracts.parameters import ChainParameters
from contracts.recent_blocks import save_block_id
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.proof import RecordProof
from node.chain.transaction import address_of
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS, ContractState, HandMadeChain
from verification.access.reads import (
    CONSUMER_SIDE,
    NO_DIGEST,
    PROVIDER_SIDE,
    CasePart,
    Details,
    Read,
    ReadDraft,
    SharingPart,
    Subject,
    batch_root,
    encode_read,
    number_read,
    read_digest,
    read_id,
)
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import TraceVerdict
from verification.access.trace_verification import TraceFacts, verify_trace
from verification.access.trace_writing import GivenReads, TraceMade, write_trace

RESOURCE = "307013301/000001"
PURPOSE = "存量房交易计税核验"
HEARTBEAT_S = 600
ACCOUNT = b"\x07" * 20
PERSON, OTHER_PERSON = sm3(b"keyed person"), sm3(b"keyed other person")
GRANT = sm3(b"grant")


def draft_read(number: int, **changes: Any) -> ReadDraft:
    """Return what happened, the same for both sides; `changes` are fields of any of its parts."""
    nonce = number.to_bytes(16, "big")
    salt = sm3(b"salt %d" % number)[:16]
    grant = changes.get("grant", GRANT)
    at_ms = changes.pop("at_ms", 0)
    parts: list[Any] = [
        Subject(PERSON, b"", salt),
        SharingPart(grant, RESOURCE, DEPARTMENT, CONSUMER, ACCOUNT, "存量房计税系统", salt),
        CasePart(PURPOSE, "", f"2026-{number:06d}", NO_DIGEST, salt),
        Details(
            read_id(grant, ACCOUNT, nonce),
            "GET /estates/{id}",
            ("产权人", "面积"),
            1,
            sm3(b"query"),
            sm3(b"result"),
            100,
            900,
            at_ms,
            at_ms,
            "",
            salt,
        ),
    ]
    changed = {name: value for name, value in changes.items() if name not in ("side", "outcome")}
    shown = []
    for part in parts:
        own = {name: changed.pop(name) for name in part.__struct_fields__ if name in changed}
        shown.append(msgspec.structs.replace(part, **own))
    assert not changed, changed
    return ReadDraft(changes.get("side", PROVIDER_SIDE), changes.get("outcome", access.SERVED), *shown)


class Recorder:
    """One stream: its reads so far, by number, and those that are in no batch yet."""

    def __init__(self, world: AuditWorld, department: str, key: PrivateKey) -> None:
        self.world, self.department, self.key = world, department, key
        self.address = address_of(key.public_key)
        self.reads: list[Read] = []
        self.store: dict[int, list[bytes]] = {}
        """What the store says of each batch; tests change it."""
        self.batch_number = 0
        self.covered_ms = 0
        self._is_declared = False

    def declare(self, **changes: Any) -> None:
        stated: dict[str, Any] = {
            "heartbeat_s": HEARTBEAT_S,
            "max_batch_records": 100,
            "on_outage": access.GO_ON,
            "stop_after_s": 0,
        }
        # A stream covers every moment from its declaration on.
        self.covered_ms = self.covered_ms or self.world.chain.time_ms
        stated |= {"bodies_at": "http://127.0.0.1:1", "second_place": ""}
        self.world.chain.call(self.key, "access", "declare_stream", **stated | changes)
        self._is_declared = True

    def record(self, drafts: Sequence[ReadDraft], *, times: Sequence[int] = ()) -> list[Read]:
        """Record these reads as the next batch, none for a heartbeat; by default each a second after the last."""
        chain = self.world.chain
        if not self._is_declared:
            self.declare()
        from_ms = self.covered_ms
        previous = read_digest(self.reads[-1]) if self.reads else access.FIRST_PREVIOUS_DIGEST
        made = []
        before = previous
        for position, draft in enumerate(drafts):
            at_ms = times[position] if times else from_ms + 1_000 * position
            details = draft.details
            if not details.answered_ms:
                details = msgspec.structs.replace(details, asked_ms=at_ms, answered_ms=at_ms)
            happened = msgspec.structs.replace(draft, details=details)
            read = number_read(happened, self.department, self.address, len(self.reads) + 1, before, at_ms)
            before = read_digest(read)
            self.reads.append(read)
            made.append(read)
        chain.time_ms = max([chain.time_ms, from_ms + 1_000 * (len(drafts) + 1), *times])
        self.anchor(made, previous, from_ms, chain.time_ms)
        return made

    def anchor(self, made: list[Read], previous: bytes, from_ms: int, to_ms: int) -> None:
        digests = [read_digest(read) for read in made]
        outcomes = [read.outcome for read in made]
        self.batch_number += 1
        self.world.chain.call(
            self.key,
            "access",
            "record_batch",
            batch_number=self.batch_number,
            first_number=len(self.reads) - len(made) + 1,
            count=len(made),
            previous_digest=previous,
            last_digest=digests[-1] if digests else previous,
            root=batch_root(digests),
            from_ms=from_ms,
            to_ms=to_ms,
            served=outcomes.count(access.SERVED),
            denied=outcomes.count(access.DENIED),
            irregular=outcomes.count(access.IRREGULAR),
            rows=sum(read.details.rows for read in made),
        )
        self.covered_ms = to_ms
        self.store[self.batch_number] = [encode_read(read) for read in made]


class AuditWorld:
    """Provider and consumer with a stream each, one grant, and a third department's stream."""

    def __init__(self) -> None:
        self.keys = [PrivateKey.from_bytes(bytes(31) + bytes((number,))) for number in range(1, 9)]
        validators, (governor, provider, consumer, auditor) = self.keys[:4], self.keys[4:]
        genesis = Genesis(
            7,
            "示范网络",
            START_MS,
            ChainParameters(),
            tuple(GenesisValidator(f"node{i}", DEPARTMENT, key.public_key) for i, key in enumerate(validators)),
            (
                GenesisDepartment(
                    DEPARTMENT,
                    "示范局",
                    "990100",
                    "city",
                    "",
                    (
                        GenesisAccount(governor.public_key, ("governor",), "governor"),
                        GenesisAccount(provider.public_key, ("recorder", "approver"), "gateway"),
                        GenesisAccount(auditor.public_key, ("auditor",), "auditor"),
                    ),
                ),
                GenesisDepartment(
                    CONSUMER,
                    "使用局",
                    "990100",
                    "city",
                    DEPARTMENT,
                    (GenesisAccount(consumer.public_key, ("recorder",), "system"),),
                ),
            ),
            b"",
        )
        state = ContractState()
        registry.write_genesis(state, genesis.departments, genesis.validators, genesis.parameters, genesis.time_ms)
        save_block_id(state, 0, genesis.hash)
        self.chain = HandMadeChain(genesis, validators, governor, provider, consumer, state)
        self.auditor = auditor
        self.provider = Recorder(self, DEPARTMENT, provider)
        self.consumer = Recorder(self, CONSUMER, consumer)
        self.save_grant()

    def save_grant(self, grant: bytes = GRANT, **changes: Any) -> RequestRecord:
        """Put a grant of the resource on the ledger, in force from the start for 30 days unless it is changed."""
        stopped_ms = changes.pop("stopped_ms", 0)
        states = [(WAITING, START_MS), (GRANTED, START_MS), *([(STOPPED, stopped_ms)] if stopped_ms else [])]
        history = tuple(RequestInterval(state, at_ms, "x", bytes(20), CONSUMER, "") for state, at_ms in states)
        values: dict[str, Any] = dict.fromkeys(RequestRecord.__struct_fields__, 0)
        values |= {
            "id": grant,
            "resource": RESOURCE,
            "provider": DEPARTMENT,
            "consumer": CONSUMER,
            "purpose": PURPOSE,
            "legal_basis": "税收征收管理法",
            "items": (),
            "from_ms": START_MS,
            "to_ms": START_MS + 30 * 86_400_000,
            "history": history,
            "case_types": (),
            "conditions": Conditions(),
            "previous": bytes(32),
            "renewal": bytes(32),
        }
        record = RequestRecord(**values | changes)
        sharing.REQUESTS.save(self.chain.state, grant, record)
        return record

    def both(self, drafts: Sequence[ReadDraft]) -> None:
        """Record the same reads on both sides."""
        self.provider.record(drafts)
        self.consumer.record([msgspec.structs.replace(draft, side=CONSUMER_SIDE) for draft in drafts])

    def fetch(self, stream: StreamRecord, batch: BatchRecord) -> list[GivenReads | str]:
        """Return what a recorder's store says of a batch."""
        recorder = self.provider if stream.recorder == self.provider.address else self.consumer
        stored = recorder.store.get(batch.batch_number)
        return ["no answer" if stored is None else GivenReads("store", stored)]

    def prove(self, keys: Sequence[bytes]) -> list[RecordProof]:
        return self.chain.prove_all(keys)

    def wanted(self, **changes: Any) -> TraceFilter:
        return msgspec.structs.replace(TraceFilter(START_MS, self.chain.time_ms - 120_000), **changes)

    def trace(self, wanted: TraceFilter | None = None, **changes: Any) -> tuple[bytes, TraceMade]:
        """Return a trace as a file, and what came of writing it."""
        out = io.BytesIO()
        made = write_trace(
            wanted or self.wanted(**changes), self.prove, self.fetch, out.write, self.chain.time_ms, query=3
        )
        return out.getvalue(), made

    def verify(self, raw: bytes, facts: TraceFacts | None = None) -> TraceVerdict:
        from verification.trust import trust_of_genesis

        return verify_trace(io.BytesIO(raw).read, trust_of_genesis(self.chain.genesis).anchor, facts)

    def close_period(self) -> None:
        """Let both streams cover what was read, so that a trace has no open tail."""
        self.chain.time_ms += 300_000
        for recorder in (self.provider, self.consumer):
            recorder.record([])


def reads_of(world: AuditWorld, raw: bytes) -> list[Read]:
    """Return the whole reads of a trace."""
    found: list[Read] = []
    world.verify(raw, TraceFacts(on_read=lambda read, batch: found.append(read)))
    return found
