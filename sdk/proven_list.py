"""A list of certificates verified by proofs that a node hands out: on the trust file's word, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from contracts.certificate_records import certificate_key
from contracts.identifiers import parse_identifier
from node.http.proof_file import decode_proof_file
from sdk.proofs import export_certificate_proof
from verification.errors import InputError
from verification.listed import Listed, ListedVerdict, ListReport, digest_of, refuse_malformed
from verification.proofs import Verdict, verify_proof

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.trust import TrustFile


def prove_list(
    client: Client, listed: Iterable[Listed], trust: TrustFile, now_ms: int, day: str | None = None
) -> ListReport:
    """Return the verdict on every certificate of a list by a proof of its record, all of the node's height at the beginning.

    With a day `YYYY-MM-DD` it is about what each was on it.
    A certificate of a batch without a record of its own is IN_BATCH where the node cannot prove it: its document is needed. Raises
    RequestRefused where the node no longer keeps that height.
    """
    height = int(client.status()["height"])
    items = [_prove(client, one, height, lambda raw: verify_proof(raw, None, trust, now_ms, day)) for one in listed]
    times = {item.time_ms for item in items if item.time_ms is not None}
    return ListReport(
        "files",
        trust.network_name,
        trust.genesis_hash,
        height if times else None,
        next(iter(times), None),
        now_ms,
        day or "",
        (),
        None,
        tuple(items),
    )


def _prove(client: Client, listed: Listed, height: int, verify: Callable[[bytes], Verdict]) -> ListedVerdict:
    refused = refuse_malformed(listed)
    if refused is not None:
        return refused
    identifier, digest = parse_identifier(listed.identifier).text, digest_of(listed)
    try:
        raw = export_certificate_proof(client, identifier, height)
    except InputError as error:
        return ListedVerdict(
            listed.line,
            identifier,
            listed.document_digest,
            error.code,
            False,
            "warn",
            error.zh,
            error.en,
            (),
            None,
            None,
        )
    verdict = verify(raw)
    is_valid, code, zh, en = verdict.is_accepted, verdict.code, verdict.zh, verdict.en
    if verdict.height is not None and not _is_about(raw, verdict, identifier):
        is_valid, code = False, "PROOF_BROKEN"
        zh, en = "节点给出的是另一份证照的证明", "the node gave the proof of another certificate"
    elif digest is not None and verdict.record is not None and verdict.record["document_digest"] != digest.hex():
        is_valid, code = False, "DOCUMENT_CHANGED"
        zh, en = "文件与账本登记的不符", "the document is not the registered one"
    return ListedVerdict(
        listed.line,
        identifier,
        None if digest is None else digest.hex(),
        code,
        is_valid,
        "good" if is_valid else "bad",
        zh,
        en,
        (),
        verdict.height,
        verdict.time_ms,
    )


def _is_about(raw: bytes, verdict: Verdict, identifier: str) -> bool:
    """Return whether a proof that holds speaks of this certificate: of its record, or of nothing at the key of its record."""
    if verdict.record is None:
        return decode_proof_file(raw).proof.key == certificate_key(identifier)
    return verdict.kind in {"certificate", "batch-certificate"} and verdict.record.get("identifier") == identifier
