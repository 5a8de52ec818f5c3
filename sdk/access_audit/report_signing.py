"""Signs an audit's report with an auditor's account, whose record the ledger proves; and verifies such a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contracts.accounts import account_key
from node.chain.codec import encode
from sdk.access_audit.traces import now_ms
from sdk.client import Client
from sdk.documents import file_sm3, read_limited
from sdk.proofs import fetch_proofs
from sdk.request_signing import RequestSigner
from sdk.trust import load_trust
from verification.access.report_signature import (
    FORMAT,
    MAX_SIGNATURE_FILE_BYTES,
    ReportSignature,
    SignedBy,
    decode_signature,
    sign_digest,
    verify_signature,
)
from verification.trust import TrustFile

SIGNATURE_SUFFIX: Final = ".sig.json"


def sign_report(
    client: Client, signer: RequestSigner, trust: TrustFile, report: bytes, trace: bytes, query: int
) -> ReportSignature:
    """Return the signature over a report by its SM3 and that of the trace that it speaks of (32 bytes each), as of the newest block."""
    (proof,) = fetch_proofs(client, [account_key(client.address)], None)
    signed_ms = now_ms()
    digest = sign_digest(report, trace, query, signed_ms, trust.anchor.genesis_hash)
    signature = ReportSignature(
        FORMAT, report.hex(), trace.hex(), query, signed_ms, signer.sign(digest).hex(), encode(proof).hex()
    )
    # What nobody would accept is better refused now: an account that is no auditor, a node of another network.
    verify_signature(signature, report, trust.anchor)
    return signature


def verify_report(report: Path, signature: Path, trust: Path) -> SignedBy:
    """Return who signed a report, to whoever trusts the trust file; raise InputError that says why it does not hold."""
    decoded = decode_signature(read_limited(signature, MAX_SIGNATURE_FILE_BYTES))
    return verify_signature(decoded, file_sm3(report), load_trust(trust).anchor)
