"""Forgeries that a status list must not cover up: places in a batch that are not theirs, identifiers that another record has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

from contracts import registry
from contracts.identifiers import make_identifier
from node.chain.transaction import address_of
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import DEPARTMENT, START_MS, TYPE_CODE
from tests.verification.tampering.forged_extras import CallOutcome
from tests.verification.tampering.forged_world import ForgedWorld, Forgeries
from verification.batch_proof import BatchMember, encode_batch_proof, sealed_member
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.seals import BatchSeal, sign_batch
from verification.freshness import verify_document_and_list, with_status_list
from verification.status_list import Scope

SERIALS = [f"2029{number:07}" for number in range(6)]
OTHER, SAME, MOVED, LATER = 1, 2, 4, 5
"""Positions: one whose identifier another certificate has, one that was issued singly too, one that is revoked, one of version 002."""


class ClashingBatch:
    """A batch over serials that single certificates have; what is revoked in it or beside it, and its list after that."""

    def __init__(self, w: ForgedWorld) -> None:
        self._w = w
        drafts = [w.draft(serial) for serial in SERIALS[:LATER]] + [w.draft(SERIALS[LATER], version="002")]
        other = w.draft(SERIALS[OTHER], holder="李四")
        for single in (other, drafts[SAME]):
            w.call("issue", **msgspec.structs.asdict(single.content))
        self.contents = [draft.content for draft in drafts]
        self.name, _ = w.chain.issue_batch(self.contents)
        self.documents = w.seal_batch(drafts)
        self.before = self.proof(SAME)
        w.chain.admit(self.name, self.member(MOVED))
        for draft in (other, drafts[SAME], drafts[MOVED]):
            w.call("revoke", identifier=draft.core.identifier, status="03", reason="骗取")
        self.list = w.status_list(Scope(TYPE_CODE, DEPARTMENT, SERIALS[0]))
        self.list_by_hash = w.status_list(Scope(TYPE_CODE, DEPARTMENT))

    def member(self, position: int) -> BatchMember:
        document = self.documents[position]
        assert isinstance(document.seal, BatchSeal)
        return sealed_member(document.core, document.seal)

    def proof(self, position: int) -> bytes:
        return encode_batch_proof(self._w.chain.prove_member(self.name, self.member(position)))

    def listed(self, position: int, by_hash: bool = False) -> Any:
        return self.listed_document(self.documents[position], by_hash)

    def listed_document(self, document: CertificateDocument, by_hash: bool = False) -> Any:
        listed = self.list_by_hash if by_hash else self.list
        return verify_document_and_list(encode_file(document), listed, self._w.list_trust)

    def moved(self, is_signed: bool) -> CertificateDocument:
        """The revoked one at place 2 of 4, to which the same path leads as from place 4 of 6."""
        w, document = self._w, self.documents[MOVED]
        seal = document.seal
        assert isinstance(seal, BatchSeal)
        parts = bytes.fromhex(seal.root), bytes.fromhex(seal.manifest_digest), w.issuer.signer, w.issuer.chain, START_MS
        signed = sign_batch(seal.batch, 4, *parts).seal(2, [bytes.fromhex(one) for one in seal.path])
        return msgspec.structs.replace(
            document, seal=signed if is_signed else msgspec.structs.replace(seal, count=4, position=2)
        )


@lru_cache(maxsize=1)
def clashing_batch(w: ForgedWorld) -> ClashingBatch:
    """Return the one batch of a world, which is put on its ledger once."""
    return ClashingBatch(w)


def covered_up(w: ForgedWorld) -> Forgeries:
    """Documents and proofs of which the list of a batch says that they are clear, or would if it were asked as they wish."""
    made = clashing_batch(w)
    later = {"batch": made.name, "position": LATER, "content": astuple(made.contents[LATER])}
    path = list(made.member(LATER).path)
    first = msgspec.structs.asdict(made.contents[0])

    def old_proof(listed: bytes) -> Any:
        return with_status_list(w.verify(made.before, now_ms=w.now_ms), listed, w.list_trust)

    yield "a revoked certificate of a batch", "ENDED", lambda: made.listed(MOVED)
    yield (
        "with another count, so that its path leads to a place that is clear",
        "SIGNATURE_INVALID",
        lambda: made.listed_document(made.moved(is_signed=False)),
    )
    yield (
        "the same, signed by a person of the issuer",
        "ANOTHER_BATCH",
        lambda: made.listed_document(made.moved(is_signed=True)),
    )
    yield (
        "a document whose identifier another certificate had, revoked, by the list of its type",
        "ASK_ONLINE",
        lambda: made.listed(OTHER, by_hash=True),
    )
    yield "the same by its proof", "ANOTHER_CERTIFICATE", lambda: w.verify(made.proof(OTHER))
    yield (
        "an old proof of one that was issued singly before, revoked since, by the batch's list",
        "STATUS_LIST_NOT_ABOUT",
        lambda: old_proof(made.list),
    )
    yield "the same by the list of its type", "ASK_ONLINE", lambda: old_proof(made.list_by_hash)
    yield "a document of a batch in a later version", "NOT_IN_BATCH", lambda: made.listed(LATER)
    yield "its proof", "OUTSIDE_BATCH", lambda: w.verify(made.proof(LATER))
    yield "its admission", "OUTSIDE_BATCH", lambda: _call(w, "batches", "admit", **later, path=path)
    yield (
        "a single certificate renewed into a batch",
        "SERIAL_IN_BATCH",
        lambda: _call(
            w,
            "certificates",
            "renew",
            predecessor=w.identifier("single"),
            reason="换发",
            **first | {"identifier": make_identifier(TYPE_CODE, DEPARTMENT, SERIALS[0], "002")},
        ),
    )


def _call(w: ForgedWorld, contract: str, method: str, **arguments: Any) -> CallOutcome:
    chain = w.chain
    address, data = registry.encode_call(contract, method, **arguments)
    found = chain.execute(address_of(chain.clerk.public_key), address, data, sm3(chain.height.to_bytes(8)))
    return CallOutcome(found.refusal is None, found.refusal or "RECORDED")
