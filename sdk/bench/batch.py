"""The batch bench: a file of rows made into certificates, put under one root and issued on a ledger; then proofs of single ones."""

from __future__ import annotations

import csv
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from contracts import registry
from contracts.batches import batch_key
from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier
from node.chain.proof import RecordProof
from sdk.bench.issued_chain import DEPARTMENT, GENESIS_MS, TYPE, IssuedChain
from sdk.bench.loaded_network import machine
from sdk.certificate_batches.archive import BatchArchive, IssuedBatch
from sdk.certificate_batches.documents import document_of
from sdk.certificate_batches.preparation import BatchPreparation, open_archive
from sdk.certificate_batches.rows import BatchHead
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import multibuffer_available
from verification.batch_proof import encode_batch_proof, join_proofs, sealed_member
from verification.certificate_files.document import encode_file
from verification.certificate_files.seals import BatchSeal
from verification.proofs import GivenDocument, verify_proof
from verification.trust import TrustFile, trust_of_genesis

QUICK_RECORDS: Final = 2_000
MAX_RECORDS: Final = 10_000_000
PROOFS: Final = 100
"""Certificates whose documents are made and verified, spread over the batch."""
HEADLINES: Final = ("records_per_s", "peak_memory_mb", "proof_bytes", "proof_verify_ms")
COLUMNS: Final = (
    *("serial", "number", "holder_name", "holder_code_type", "holder_code", "valid_from", "valid_to"),
    *("field:坐落", "field:面积"),
)
ANCHORING: Final = ("tree", "issue")
"""The steps that put certificates on the ledger, once each is made."""

_SECRET: Final = b"\7" * 32
_ISSUED_ON: Final = "2025-06-15"
_MEBIBYTE: Final = 1 << 20
_FIRST_SERIAL: Final = 2_025_000_000_000

Say = Callable[[str], None]


def run_batch_bench(records: int, say: Say) -> dict[str, Any]:
    """Return the figures of one batch as one object with units in its keys; raise RuntimeError where a proof does not verify.

    `records_per_s` counts certificates anchored through a Merkle batch in a second of one core's time: leaves, tree, manifest digest
    and the transaction, from the archive and into it; `records_per_wall_s` is the same by the clock, waits for the disk included.
    `prepared_records_per_s` is everything from the file of rows to the final block, by the clock.
    """
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        bench = _Bench(Path(temporary), records, say)
        try:
            bench.issue()
            # Before documents are made: what the batch itself took.
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
            proofs = bench.proof_figures()
            return {
                "records_per_s": _rate(records, bench.cpu_s, ANCHORING),
                "peak_memory_mb": round(peak_mb, 1),
                **proofs,
                "records_per_wall_s": _rate(records, bench.wall_s, ANCHORING),
                "prepared_records_per_s": _rate(records, bench.wall_s, tuple(bench.wall_s)),
                "records": records,
                "wall_s": {step: round(seconds, 2) for step, seconds in bench.wall_s.items()},
                "cpu_us_per_record": {step: round(seconds / records * 1e6, 2) for step, seconds in bench.cpu_s.items()},
                "archive_mb": round(bench.archive.path.stat().st_size / _MEBIBYTE, 1),
                "multibuffer": multibuffer_available(),
                **machine(),
            }
        finally:
            bench.close()


class _Bench:
    """One file of rows, the archive that it becomes, and a ledger of one validator."""

    def __init__(self, folder: Path, records: int, say: Say) -> None:
        self._records = records
        self._say = say
        self._chain = IssuedChain(folder / "ledger", ["node1"])
        self._signer = Signer(self._chain.issuer)
        root = x509.issue_root("Bench Root", now_ms=GENESIS_MS)
        authority = x509.issue_department(root, DEPARTMENT, "数据局", now_ms=GENESIS_MS)
        person = x509.issue_person(authority, "签发人", self._signer.public_key, now_ms=GENESIS_MS)
        self._authority = (person, authority.certificate)
        self._table = folder / "rows.csv"
        say(f"{records} rows")
        _write_rows(self._table, records)
        head = BatchHead(TYPE, "不动产权证书", DEPARTMENT, "数据局", _ISSUED_ON)
        self.archive: BatchArchive = open_archive(folder / "rows.govbatch", self._table, head, _SECRET)
        self.wall_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    def issue(self) -> None:
        """Take the batch through all its steps, each timed."""
        preparation = BatchPreparation(self.archive, _SECRET, lambda step, done, total: None)
        # The ledger is empty: no identifier is known to it.
        self._time("load", lambda: preparation.load(self._table, lambda identifiers: set()))
        self._time("draft", preparation.draft)
        self._time("tree", preparation.build_tree)
        self._time("sign", lambda: preparation.sign(self._signer, self._authority, self._chain.ledgers[0].head_time_ms))
        self._time("issue", self._issue)

    def proof_figures(self) -> dict[str, Any]:
        """Return sizes of a certificate's document and proof, and how long making and verifying both takes, warm."""
        trust = trust_of_genesis(self._chain.genesis)
        batch = self._chain.ledgers[0].record_proof(batch_key(self.archive.tree.name))
        pairs, making_ms, verifying_ms = [], [], []
        self._say(f"{PROOFS} proofs")
        for place in range(PROOFS):
            number = place * (self._records - 1) // max(1, PROOFS - 1)
            identifier = make_identifier(TYPE, DEPARTMENT, str(_FIRST_SERIAL + number))
            started = time.perf_counter()
            pairs.append(self._document_and_proof(identifier, batch))
            making_ms.append((time.perf_counter() - started) * 1_000)
        for document, proof in pairs:
            started = time.perf_counter()
            self._verify(document, proof, trust)
            verifying_ms.append((time.perf_counter() - started) * 1_000)
        return {
            "proof_bytes": round(statistics.median(len(proof) for _, proof in pairs)),
            "proof_verify_ms": round(statistics.median(verifying_ms), 3),
            "proof_make_ms": round(statistics.median(making_ms), 3),
            "document_bytes": round(statistics.median(len(document) for document, _ in pairs)),
        }

    def close(self) -> None:
        """Close the archive and the ledger."""
        self.archive.close()
        for ledger in self._chain.ledgers:
            ledger.close()

    def _issue(self) -> None:
        tree = self.archive.tree
        call = registry.encode_call(
            "batches",
            "issue_batch",
            type_code=TYPE,
            first=tree.first,
            last=tree.last,
            count=tree.count,
            root=tree.root,
            manifest_digest=tree.manifest_digest,
        )
        self._chain.commit(self._chain.ledgers, [self._chain.transaction(self._chain.issuer, *call)])
        self.archive.save_issued(IssuedBatch(self._chain.ledgers[0].head_time_ms))

    def _time(self, step: str, run: Callable[[], object]) -> None:
        self._say(step)
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        self.wall_s[step] = time.perf_counter() - wall
        self.cpu_s[step] = time.process_time() - cpu

    def _document_and_proof(self, identifier: str, batch: RecordProof) -> tuple[bytes, bytes]:
        document = document_of(self.archive, identifier, _SECRET)
        assert isinstance(document.seal, BatchSeal), "a document of an archive has the seal of its batch"
        own = self._chain.ledgers[0].record_proof(certificate_key(identifier))
        proof = join_proofs(sealed_member(document.core, document.seal), batch, own)
        return encode_file(document), encode_batch_proof(proof)

    def _verify(self, document: bytes, proof: bytes, trust: TrustFile) -> None:
        now_ms = self._chain.ledgers[0].head_time_ms + 1_000
        verdict = verify_proof(proof, GivenDocument(document), trust, now_ms)
        if not verdict.is_accepted:
            raise RuntimeError(f"a proof does not verify: {verdict.en}")


def _rate(records: int, seconds: dict[str, float], steps: tuple[str, ...]) -> int:
    """Return the certificates a second of these steps one after another."""
    return round(records / sum(seconds[step] for step in steps))


def _write_rows(path: Path, records: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(records):
            serial = str(_FIRST_SERIAL + number)
            holder = (f"示范{number}", "999", f"N{number:010}")
            place = (f"示例市示例路{number}号", f"{number % 200}.5")
            writer.writerow((serial, f"示(2025)第{number:010}号", *holder, _ISSUED_ON, "2035-06-14", *place))
