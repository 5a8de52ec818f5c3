"""The trace bench: both sides' reads of one grant on a ledger and in stores; a trace of them made, verified and judged."""

from __future__ import annotations

import hashlib
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from contracts import registry
from contracts.data_sharing.access import FIRST_PREVIOUS_DIGEST, GO_ON, SERVED, BatchRecord, StreamRecord
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.data_sharing.working_days import Calendar
from contracts.identifiers import uscc_check_character
from node.chain.genesis import GenesisAccount, GenesisDepartment
from node.chain.proof import TrustAnchor
from node.chain.transaction import address_of
from sdk.access_recording.read_store import KeptRead, ReadStore
from sdk.bench.issued_chain import MadeChain
from sdk.bench.loaded_network import machine
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.access.reads import (
    CONSUMER_SIDE,
    NO_DIGEST,
    PROVIDER_SIDE,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
    batch_root,
    encode_read,
    number_read,
    read_digest,
    read_id,
)
from verification.access.rule_figures import RuleFigures
from verification.access.rules import AuditFacts, judge
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import TraceVerdict
from verification.access.trace_verification import verify_trace
from verification.access.trace_writing import GivenReads, write_trace
from verification.trust import trust_of_genesis

QUICK_READS: Final = 2_000
BATCH_READS: Final = 1_000
BATCH_MS: Final = 60_000
PERSONS: Final = 1_000
"""Whose data is read in turn: a trace of one person shows so few of the reads whole."""
RESOURCE: Final = "307013301/000001"
PURPOSE: Final = "存量房交易计税核验"
ITEMS: Final = ("权利人", "坐落", "面积", "用途", "登记日期", "单元号")

T = TypeVar("T")
Say = Callable[[str], None]


def run_trace_bench(reads: int, say: Say) -> dict[str, Any]:
    """Return the figures of a trace over two streams, each of half so many reads, as one object with units in its keys.

    `*_peak_mb` is what Python allocated at most beyond what was there before, in a second run of the same step.
    """
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        folder = Path(temporary)
        say(f"{reads} reads into two stores and onto a ledger, {BATCH_READS} to a batch")
        world = _World(folder, reads // 2)
        try:
            say("making traces: of everything, and of one person")
            whole = _figures_of(world, folder / "whole.gvt", world.wanted(NO_DIGEST))
            one = _figures_of(world, folder / "one.gvt", world.wanted(_person(1)))
            return {
                **whole,
                **{f"person_{name}": value for name, value in one.items()},
                "reads": reads // 2 * 2,
                "batch_reads": BATCH_READS,
                **machine(),
            }
        finally:
            world.close()


def _figures_of(world: _World, path: Path, wanted: TraceFilter) -> dict[str, Any]:
    """Return what one trace takes to make, to verify, to verify and judge, and how large it is."""
    anchor = trust_of_genesis(world.chain.genesis).anchor
    _, make_s, make_mb = _measured(lambda: world.make(path, wanted))
    verdict, verify_s, verify_mb = _measured(lambda: _verify(path, anchor, None))
    differences, findings_s, findings_mb = _measured(lambda: _judge(path, anchor))
    assert verdict.is_complete, verdict.faults
    assert not differences, "both sides recorded the same"
    return {
        "trace_mb": round(path.stat().st_size / 1e6, 1),
        "make_s": make_s,
        "verify_s": verify_s,
        "findings_s": findings_s,
        "make_peak_mb": make_mb,
        "verify_peak_mb": verify_mb,
        "findings_peak_mb": findings_mb,
        "matches": verdict.matches,
    }


def _verify(path: Path, anchor: TrustAnchor, facts: AuditFacts | None) -> TraceVerdict:
    with path.open("rb") as file:
        return verify_trace(file.read, anchor, None if facts is None else facts.listener())


def _judge(path: Path, anchor: TrustAnchor) -> int:
    """Verify a trace, apply the rules to what it has, and return how many reads the two sides state otherwise."""
    facts = AuditFacts()
    verdict = _verify(path, anchor, facts)
    return len(judge(facts, verdict, RuleFigures(), Calendar()).reconciliation.differences)


def _measured(run: Callable[[], T]) -> tuple[T, float, float]:
    """Return what a step returns, its seconds, and the most MB that it held in a second run."""
    start = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, round(seconds, 2), round(peak / 1e6, 1)


class _World:
    """A ledger with a grant and two streams, and the store of each."""

    def __init__(self, folder: Path, reads: int) -> None:
        self._keys = [PrivateKey.generate() for _ in range(2)]
        departments = [_department(number, key) for number, key in enumerate(self._keys)]
        self.chain = MadeChain(folder, ("ledger",), departments, BATCH_MS)
        self.ledger = self.chain.ledgers[0]
        self._parties = [department.code for department in departments]
        self._recorders = [address_of(key.public_key) for key in self._keys]
        self._grant = self._share()
        stream = {"heartbeat_s": 3_600, "max_batch_records": BATCH_READS, "on_outage": GO_ON, "stop_after_s": 0}
        self._covered_ms: list[int] = []
        for number in range(2):
            self._call(number, "access", "declare_stream", **stream, bodies_at="", second_place="")
            self._covered_ms.append(self.ledger.head_time_ms)
        self._begin_ms = self.ledger.head_time_ms
        self.stores = [
            ReadStore(folder / f"{number}.sqlite", self._parties[number], self._recorders[number], self._begin_ms)
            for number in range(2)
        ]
        self._record(reads)
        self._until_ms = min(self._covered_ms)

    def close(self) -> None:
        """Close the stores."""
        for store in self.stores:
            store.close()

    def wanted(self, person: bytes) -> TraceFilter:
        """Return what a trace of the whole period asks for: one person's reads, or every read for NO_DIGEST."""
        return TraceFilter(self._begin_ms, self._until_ms, person=person)

    def make(self, path: Path, wanted: TraceFilter) -> None:
        """Write a trace of what is asked for, as of the last block, from the stores."""
        height = self.ledger.height
        with path.open("wb") as file:
            write_trace(
                wanted,
                lambda keys: [self.ledger.record_proof(key, height) for key in keys],
                self._fetch,
                file.write,
                self.ledger.head_time_ms,
            )

    def _fetch(self, stream: StreamRecord, batch: BatchRecord) -> Sequence[GivenReads]:
        store = self.stores[self._parties.index(stream.department)]
        last = batch.first_number + batch.count - 1
        return [GivenReads("store", store.encoded_reads(batch.first_number, last))]

    def _call(self, party: int, contract: str, method: str, **arguments: Any) -> bytes:
        transaction = self.chain.transaction(
            self._keys[party], *registry.encode_call(contract, method, **arguments), 10_000_000
        )
        self.chain.commit(self.chain.ledgers, [transaction])
        return transaction.id

    def _share(self) -> bytes:
        """Publish a resource that is shared without conditions, ask for it, and return the grant's id."""
        items = tuple(ResourceItem(name, "C") for name in ITEMS)
        texts = ("不动产登记信息", "供各部门核验", "JSON")
        self._call(
            0,
            "catalogue",
            "publish",
            resource=ResourceDescription(RESOURCE, *texts, items, 1, "依规定共享", "接口", 2, 3),
            replaces=0,
        )
        begin_ms = self.ledger.head_time_ms
        asked: dict[str, Any] = {"resource": RESOURCE, "purpose": PURPOSE, "legal_basis": "政务数据共享条例"}
        asked |= {"items": [], "case_types": [], "rows_per_day": 0, "from_ms": begin_ms}
        return self._call(1, "sharing", "request", **asked, to_ms=begin_ms + 365 * 86_400_000)

    def _record(self, reads: int) -> None:
        """Record the same reads on both sides, batch by batch, and an empty batch behind them."""
        tips = [FIRST_PREVIOUS_DIGEST] * 2
        numbers = iter(range(1, reads + 1))
        batch_number = 0
        while True:
            chunk = list(islice(numbers, BATCH_READS))
            batch_number += 1
            from_ms = self.ledger.head_time_ms
            for party in range(2):
                kept = [self._read(party, number, from_ms + place, tips) for place, number in enumerate(chunk)]
                if kept:
                    self.stores[party].keep_reads(kept)
                self._anchor(party, batch_number, kept, tips)
            if not chunk:
                return

    def _read(self, party: int, number: int, at_ms: int, tips: list[bytes]) -> KeptRead:
        provider, consumer = self._parties
        salt = hashlib.shake_128(b"%d" % number).digest(16)
        details = Details(
            read_id(self._grant, self._recorders[1], salt),
            "GET /estates/{id}",
            ITEMS,
            1,
            sm3(salt),
            sm3(salt + b"result"),
            0,
            900,
            at_ms,
            at_ms,
            "",
            salt,
        )
        draft = ReadDraft(
            (PROVIDER_SIDE, CONSUMER_SIDE)[party],
            SERVED,
            Subject(_person(number % PERSONS), b"", salt),
            SharingPart(self._grant, RESOURCE, provider, consumer, self._recorders[1], "存量房计税系统", salt),
            CasePart(PURPOSE, "", f"2026-{number:07d}", NO_DIGEST, salt),
            details,
        )
        before = tips[party]
        read = number_read(draft, self._parties[party], self._recorders[party], number, before, at_ms)
        encoded = encode_read(read)
        tips[party] = digest = read_digest(read)
        return KeptRead(read, digest, encoded)

    def _anchor(self, party: int, batch_number: int, kept: list[KeptRead], tips: list[bytes]) -> None:
        previous = kept[0].read.previous_digest if kept else tips[party]
        first = kept[0].read.number if kept else self.stores[party].tip().number + 1
        to_ms = self.ledger.head_time_ms + BATCH_READS
        self._call(
            party,
            "access",
            "record_batch",
            batch_number=batch_number,
            first_number=first,
            count=len(kept),
            previous_digest=previous,
            last_digest=tips[party],
            root=batch_root([one.digest for one in kept]),
            from_ms=self._covered_ms[party],
            to_ms=to_ms,
            served=len(kept),
            denied=0,
            irregular=0,
            rows=len(kept),
        )
        self._covered_ms[party] = to_ms


def _person(number: int) -> bytes:
    return sm3(b"person %d" % number)


def _department(number: int, key: PrivateKey) -> GenesisDepartment:
    body = f"11990100MB{number:07d}"
    roles = ("publisher", "requester", "recorder")
    account = GenesisAccount(key.public_key, roles, "system")
    return GenesisDepartment(body + uscc_check_character(body), f"示范局{number}", "990100", "city", "", (account,))
