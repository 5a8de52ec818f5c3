"""The signature beside an audit's report: which account of which department vouches for which bytes, checked without a node."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from contracts.accounts import ACCOUNTS, AUDITOR, AccountRecord, account_key
from node.chain.codec import CodecError
from node.chain.proof import ProofError, TrustAnchor, VerifiedRecord, decode_record_proof, verify_record_proof
from sm_crypto import sm2
from sm_crypto.sm3 import TaggedHash
from verification.errors import InputError

FORMAT: Final = "govnode-audit-signature/1"
MAX_SIGNATURE_FILE_BYTES: Final = 16 * 1024 * 1024

_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+$(?!\n)")]
_SIGNED: Final = TaggedHash("govnode/audit-report/1")


class ReportSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs what when; `account_proof` is the ledger's record of the account as of a final block, encoded, in hex digits."""

    format: Literal["govnode-audit-signature/1"]
    report_sm3: _Digest
    trace_sm3: _Digest
    query: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    signed_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]
    account_proof: _Hex


class SignedBy(msgspec.Struct, frozen=True):
    """Whose a verified signature is, and as of which block its account is proved."""

    department: str
    name: str
    address: bytes
    signed_ms: int
    height: int
    trace_sm3: str
    query: int


def sign_digest(report_sm3: bytes, trace_sm3: bytes, query: int, signed_ms: int, genesis_hash: bytes) -> bytes:
    """Return the 32 bytes that an auditor's account signs: the report's and the trace's SM3, the query, the time and the network."""
    return _SIGNED(msgspec.msgpack.encode((genesis_hash, report_sm3, trace_sm3, query, signed_ms)))


def encode_signature(signature: ReportSignature) -> bytes:
    """Return the signature as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(signature), indent=1) + b"\n"


def decode_signature(raw: bytes) -> ReportSignature:
    """Return the signature in a file's bytes; raise InputError SIGNATURE_MALFORMED on anything else."""
    try:
        return msgspec.json.decode(raw[: MAX_SIGNATURE_FILE_BYTES + 1], type=ReportSignature)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InputError(
            "SIGNATURE_MALFORMED",
            f"不是审计报告的签名文件：{error}",
            f"not the signature of an audit's report: {error}",
        ) from None


def verify_signature(signature: ReportSignature, report_sm3: bytes, trust: TrustAnchor) -> SignedBy:
    """Return who vouches for a report with these bytes (their SM3), to whoever trusts the anchor.

    Raises InputError REPORT_DIFFERS, ACCOUNT_UNPROVED, NOT_AN_AUDITOR or SIGNATURE_INVALID.
    """
    if signature.report_sm3 != report_sm3.hex():
        raise InputError(
            "REPORT_DIFFERS",
            "报告不是所签的那一份：内容已变",
            "the report is not the one that was signed: it was changed",
        )
    account, proved = _account(signature, trust)
    if account.removed_ms or AUDITOR not in account.roles:
        raise InputError(
            "NOT_AN_AUDITOR",
            f"签名账户（{account.department}）没有审计角色或已注销",
            f"the account that signed ({account.department}) is no auditor, or was removed",
        )
    digest = sign_digest(
        report_sm3, bytes.fromhex(signature.trace_sm3), signature.query, signature.signed_ms, trust.genesis_hash
    )
    try:
        sm2.verify(account.public_key, digest, bytes.fromhex(signature.signature))
    except (sm2.InvalidKey, sm2.InvalidSignature):
        raise InputError("SIGNATURE_INVALID", "签名不成立", "the signature does not hold") from None
    return SignedBy(
        account.department,
        account.name,
        account.address,
        signature.signed_ms,
        proved.height,
        signature.trace_sm3,
        signature.query,
    )


def _account(signature: ReportSignature, trust: TrustAnchor) -> tuple[AccountRecord, VerifiedRecord]:
    try:
        proved = verify_record_proof(decode_record_proof(bytes.fromhex(signature.account_proof)), trust)
        record = None if proved.value is None else ACCOUNTS.decode(proved.value)
    except (CodecError, ProofError, msgspec.DecodeError, ValueError) as error:
        raise _unproved(str(error)) from None
    if record is None or proved.key != account_key(record.address):
        raise _unproved("no account")
    return record, proved


def _unproved(reason: str) -> InputError:
    return InputError(
        "ACCOUNT_UNPROVED",
        f"签名账户未被账本证明：{reason}",
        f"the account that signed is not proved by the ledger: {reason}",
    )
