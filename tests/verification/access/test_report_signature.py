"""Who may vouch for an audit's report: an account that the ledger has as an auditor, as of the block that proves it."""

from __future__ import annotations

import msgspec
import pytest

from contracts.accounts import AUDITOR, RECORDER, AccountRecord
from node.chain.proof import TrustAnchor, VerifiedRecord
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.access import report_signature
from verification.access.report_signature import FORMAT, ReportSignature, sign_digest, verify_signature
from verification.errors import InputError

TRUST = TrustAnchor(bytes(32), 0, bytes(32))
REPORT, TRACE = sm3(b"report"), sm3(b"trace")
KEY = PrivateKey.generate()
ACCOUNT = AccountRecord(bytes(20), "11990100MB0000001T", "auditor", KEY.public_key, (AUDITOR,), 1, 0)


def signed() -> ReportSignature:
    digest = sign_digest(REPORT, TRACE, 7, 1_000, TRUST.genesis_hash)
    return ReportSignature(FORMAT, REPORT.hex(), TRACE.hex(), 7, 1_000, KEY.sign(digest).hex(), "00")


def vouched_by(account: AccountRecord, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the code with which a signature is refused whose account the ledger proves to be this; empty where it holds."""
    proved = VerifiedRecord(b"key", b"value", 5, 2_000, bytes(32))
    monkeypatch.setattr(report_signature, "_account", lambda signature, trust: (account, proved))
    try:
        assert verify_signature(signed(), REPORT, TRUST).height == 5
    except InputError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"removed_ms": 1_500}, "NOT_AN_AUDITOR"),
        ({"roles": (RECORDER,)}, "NOT_AN_AUDITOR"),
        ({"public_key": PrivateKey.generate().public_key}, "SIGNATURE_INVALID"),
    ],
)
def test_only_an_auditor_that_was_not_removed_vouches(
    changes: dict[str, object], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vouched_by(msgspec.structs.replace(ACCOUNT, **changes), monkeypatch) == code
