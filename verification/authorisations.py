"""What a holder allows and withdraws: statements under an SM2 signature, and what the ledger has of them (docs/spec/authorisation.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from contracts.authorisations import MAX_FETCHES
from contracts.fields import check_period, check_text
from contracts.identifiers import parse_identifier, verify_uscc
from contracts.refusals import Refused
from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import TaggedHash, hmac_sm3
from verification.certificate_files.document import (
    MAX_ATTACHMENTS,
    MAX_FIELDS,
    CertificateDocument,
    DocumentCore,
    FieldName,
    Identifier,
    Name,
    core_digest,
    decode_strictly,
)
from verification.certificate_files.presentation import MAX_PURPOSE, Purpose
from verification.certificate_files.seals import Hex32, Signature, TimeMs
from verification.errors import InputError

FORMAT: Final = "govnode-authorisation/1"
WITHDRAWAL_FORMAT: Final = "govnode-authorisation-withdrawal/1"
MAX_NUMBER: Final = 2**32 - 1
CODE_DIGITS: Final = 8
"""Of a one-time code: it is told to a clerk by word of mouth, and five wrong ones end it."""

_AUTHORISATION: Final = TaggedHash("govnode/authorisation/1")
_WITHDRAWAL: Final = TaggedHash("govnode/authorisation-withdrawal/1")
_ENCODER: Final = msgspec.msgpack.Encoder()

Department = Annotated[str, msgspec.Meta(min_length=18, max_length=18)]
T = TypeVar("T", bound=msgspec.Struct)
SignatureOrNone = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{128})?$(?!\n)", max_length=128)]


class Authorisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One department may fetch one certificate, these parts of it, for one purpose until a time.

    `signature` is the holder's; empty where the holder gave the issuer's clerk or app a one-time code instead.
    """

    format: Literal["govnode-authorisation/1"]
    genesis: Hex32
    """The network: the hash of its genesis."""
    identifier: Identifier = msgspec.field(name="ZZBS")
    document_digest: Hex32
    id: Hex32
    """What the ledger calls it: authorisation_id of the document's secret and `number`."""
    number: Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
    """Counts the authorisations of one document from 0."""
    recipient: Department
    purpose: Purpose
    fields: Annotated[tuple[FieldName, ...], msgspec.Meta(max_length=MAX_FIELDS)]
    """The fields that are shown to the recipient, by name; what always shows needs no mention."""
    attachments: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)]
    from_ms: TimeMs
    to_ms: TimeMs
    max_fetches: Annotated[int, msgspec.Meta(ge=1, le=MAX_FETCHES)]
    salt: Hex32
    """Random: without it purpose and statement cannot be guessed from the ledger."""
    signature: SignatureOrNone

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the holder signs and the ledger has as `statement`."""
        return _AUTHORISATION(
            _ENCODER.encode(
                (
                    bytes.fromhex(self.genesis),
                    self.identifier,
                    bytes.fromhex(self.document_digest),
                    bytes.fromhex(self.id),
                    self.number,
                    self.recipient,
                    self.purpose,
                    self.fields,
                    self.attachments,
                    self.from_ms,
                    self.to_ms,
                    self.max_fetches,
                    bytes.fromhex(self.salt),
                )
            )
        )

    def purpose_commitment(self, purpose: str) -> bytes:
        """Return the 32 bytes that stand for a purpose under this authorisation."""
        return hmac_sm3(bytes.fromhex(self.salt), b"govnode/authorisation-purpose/1\0" + purpose.encode("utf-8"))


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the holder takes an authorisation back, under the holder's signature."""

    format: Literal["govnode-authorisation-withdrawal/1"]
    genesis: Hex32
    id: Hex32
    made_ms: TimeMs
    signature: Signature

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the holder signs and the ledger has as `withdrawal`."""
        return withdrawal_digest(self.genesis, self.id, self.made_ms)


def authorisation_id(secret: bytes, number: int) -> bytes:
    """Return what the ledger calls the authorisation `number` of the document with this secret; nobody else tells two of one document."""
    return hmac_sm3(secret, b"govnode/authorisation-id/1\0" + number.to_bytes(4, "big"))


def code_digest(secret: bytes, identifier: bytes, code: str) -> bytes:
    """Return the 32 bytes that stand for the one-time code of an authorisation (its 32-byte id): keyed, so that codes cannot be tried."""
    return hmac_sm3(secret, b"govnode/one-time-code/1\0" + identifier + code.encode("utf-8"))


def withdrawal_digest(genesis: str, identifier: str, made_ms: int) -> bytes:
    """Return the 32 bytes that stand for a withdrawal, of hashes in hex digits."""
    return _WITHDRAWAL(_ENCODER.encode((bytes.fromhex(genesis), bytes.fromhex(identifier), made_ms)))


def make_authorisation(
    document: CertificateDocument,
    *,
    genesis: bytes,
    number: int,
    recipient: str,
    purpose: str,
    fields: Sequence[str],
    attachments: Sequence[str],
    from_ms: int,
    to_ms: int,
    max_fetches: int,
    salt: bytes,
) -> Authorisation:
    """Return a statement about a document, not signed yet; raise InputError on what no holder can mean."""
    made = Authorisation(
        FORMAT,
        genesis.hex(),
        document.core.identifier,
        core_digest(document.core).hex(),
        authorisation_id(bytes.fromhex(document.secret), number).hex(),
        number,
        recipient,
        purpose,
        tuple(fields),
        tuple(attachments),
        from_ms,
        to_ms,
        max_fetches,
        salt.hex(),
        "",
    )
    check_authorisation(made)
    check_names(made, document.core)
    return made


def sign_authorisation(authorisation: Authorisation, core: DocumentCore, holder: Signer) -> Authorisation:
    """Return the statement under the holder's signature; raise InputError HOLDER_KEY_DIFFERS where the document names another key."""
    if core.holder_key != holder.public_key.hex():
        raise InputError(
            "HOLDER_KEY_DIFFERS",
            "证照没有登记这把持证人密钥；没有密钥的持证人请向颁发机构申请一次性授权码",
            "the document does not name this key as its holder's; a holder without one asks the issuer for a one-time code",
        )
    return msgspec.structs.replace(authorisation, signature=holder.sign(authorisation.digest).hex())


def make_withdrawal(authorisation: Authorisation, holder: Signer, made_ms: int) -> Withdrawal:
    """Return the holder's withdrawal of an authorisation."""
    digest = withdrawal_digest(authorisation.genesis, authorisation.id, made_ms)
    return Withdrawal(WITHDRAWAL_FORMAT, authorisation.genesis, authorisation.id, made_ms, holder.sign(digest).hex())


def decode_authorisation(raw: bytes) -> Authorisation:
    """Return the statement in a file; raise InputError AUTHORISATION_MALFORMED on anything else."""
    found = _decode(raw, Authorisation)
    check_authorisation(found)
    return found


def decode_withdrawal(raw: bytes) -> Withdrawal:
    """Return the withdrawal in a file; raise InputError AUTHORISATION_MALFORMED on anything else."""
    return _decode(raw, Withdrawal)


def check_authorisation(authorisation: Authorisation) -> None:
    """Return if a statement obeys the rules that its form alone does not hold; raise InputError otherwise."""
    try:
        canonical = parse_identifier(authorisation.identifier).text
        verify_uscc(authorisation.recipient)
        check_text("purpose", authorisation.purpose, MAX_PURPOSE)
        check_period("from_ms", authorisation.from_ms, "to_ms", authorisation.to_ms)
    except Refused as refused:
        raise _malformed(*refused.texts) from None
    if authorisation.identifier != canonical:
        raise _malformed(
            f"ZZBS 应为 {canonical}，实为 {authorisation.identifier}",
            f"expected ZZBS as {canonical}, found {authorisation.identifier}",
        )
    if not 1 <= authorisation.max_fetches <= MAX_FETCHES:
        raise _malformed(
            f"领取次数应为 1 至 {MAX_FETCHES}，实为 {authorisation.max_fetches}",
            f"expected 1 to {MAX_FETCHES} fetches, found {authorisation.max_fetches}",
        )
    for names in (authorisation.fields, authorisation.attachments):
        if len(set(names)) < len(names):
            raise _malformed("出示的字段或附件重复", "a field or attachment is named twice")


def check_names(authorisation: Authorisation, core: DocumentCore) -> None:
    """Return if the document has the fields and attachments that a statement names; raise InputError FIELD_UNKNOWN otherwise."""
    known = {field.name for field in core.fields}, {one.name for one in core.attachments}
    for names, there in zip((authorisation.fields, authorisation.attachments), known, strict=True):
        for name in names:
            if name not in there:
                raise InputError(
                    "FIELD_UNKNOWN",
                    f"证照没有字段或附件 {name!r}",
                    f"the document has no field or attachment {name!r}",
                )


def verify_authorisation(authorisation: Authorisation, document: CertificateDocument, genesis: bytes) -> None:
    """Return if the holder of this document has signed the statement for this network; raise InputError with the reason otherwise."""
    check_network(authorisation.genesis, genesis)
    if (authorisation.identifier, authorisation.document_digest) != (
        document.core.identifier,
        core_digest(document.core).hex(),
    ):
        raise another_document(authorisation.identifier)
    if authorisation.id != authorisation_id(bytes.fromhex(document.secret), authorisation.number).hex():
        raise InputError(
            "AUTHORISATION_ID_WRONG",
            "授权编号不是由该证照得出的",
            "the statement's id does not follow from this document",
        )
    check_names(authorisation, document.core)
    verify_holder_signature(authorisation.digest, authorisation.signature, document.core.holder_key)


def another_document(identifier: str) -> InputError:
    """Return the error of a statement about a certificate that is not, or not so, among those it is compared with."""
    return InputError(
        "DOCUMENT_CHANGED",
        f"授权所指的不是 {identifier} 颁发的这一份",
        f"the statement is not about {identifier} as it was issued",
    )


def verify_withdrawal(withdrawal: Withdrawal, document: CertificateDocument, genesis: bytes) -> None:
    """Return if the holder of this document has signed the withdrawal for this network; raise InputError with the reason otherwise."""
    check_network(withdrawal.genesis, genesis)
    verify_holder_signature(withdrawal.digest, withdrawal.signature, document.core.holder_key)


def verify_holder_signature(digest: bytes, signature: str, holder_key: str) -> None:
    """Return if a document's holder key (hex digits, or empty) signed a digest; raise InputError HOLDER_SIGNATURE_… otherwise."""
    if not holder_key or not signature:
        raise InputError(
            "HOLDER_SIGNATURE_MISSING",
            "须有持证人签名；证照没有登记持证人密钥的，请向颁发机构申请一次性授权码",
            "the holder's signature is needed; where the document names no holder key, ask the issuer for a one-time code",
        )
    try:
        verify(bytes.fromhex(holder_key), digest, bytes.fromhex(signature))
    except (InvalidSignature, InvalidKey):
        raise InputError(
            "HOLDER_SIGNATURE_INVALID",
            "持证人签名不成立：内容被改动，或不是持证人所签",
            "the holder's signature does not hold: changed after signing, or not made by the holder",
        ) from None


def check_network(stated: str, genesis: bytes) -> None:
    """Return if a statement's genesis hash, in hex digits, is that of this network; raise InputError ANOTHER_NETWORK otherwise."""
    if stated != genesis.hex():
        raise InputError(
            "ANOTHER_NETWORK",
            f"授权属于另一个网络（创世哈希 {stated[:16]}…）",
            f"the statement is for another network (genesis {stated[:16]}…)",
        )


def _decode(raw: bytes, kind: type[T]) -> T:
    try:
        return decode_strictly(raw, kind)
    except InputError as error:
        # Said there of a certificate file; what is wrong comes after the colon.
        raise _malformed(error.zh.partition("：")[2], error.en.partition(": ")[2]) from None


def _malformed(zh: str, en: str) -> InputError:
    return InputError(
        "AUTHORISATION_MALFORMED", f"不是合规的授权或撤回声明：{zh}", f"not a well-formed statement: {en}"
    )
