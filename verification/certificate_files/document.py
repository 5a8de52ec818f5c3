"""The certificate document: what the issuer commits to, field by field, and the values that open it (docs/spec/certificate-document.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec

from contracts.certificate_records import CertificateContent
from contracts.fields import check_optional_text, check_period, check_text
from contracts.identifiers import MAX_IDENTIFIER_LENGTH, CertificateIdentifier, parse_identifier
from contracts.refusals import Refused
from node.http.proof_file import unambiguous_object
from sm_crypto.errors import InvalidKey
from sm_crypto.sm2 import check_public_key
from sm_crypto.sm3 import TaggedHash, hmac_sm3, hmac_sm3_many, sm3
from verification.certificate_files.seals import BatchSeal, Hex32, IssuerSeal
from verification.days import day_end_ms, day_start_ms
from verification.errors import InputError
from verification.holders import Holder, holder_message, holder_salt_message
from verification.reasons import decoding_reason, found_kind

FORMAT: Final = "govnode-certificate/1"
MAX_DOCUMENT_FILE_BYTES: Final = 4 * 1024 * 1024
"""Of a document, a presentation or an annotated copy, as a file."""
MAX_FIELDS: Final = 128
MAX_FIELD_NAME: Final = 64
MAX_FIELD_VALUE: Final = 4_096
"""Characters, as in the limits of the other texts."""
MAX_NAME: Final = 128
MAX_ATTACHMENTS: Final = 32
MAX_MEDIA_TYPE: Final = 64
MAX_ATTACHMENT_BYTES: Final = 2**40
SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
WITHOUT_END: Final = "9999-12-31"
"""The last day of a certificate that stays valid (长期)."""

METADATA_NAMES: Final = (
    "ZZBS",
    "ZZMC",
    "ZZLXDM",
    "ZZBFJG",
    "ZZBFJGDM",
    "ZZBFRQ",
    "ZZYXQQSRQ",
    "ZZYXQJZRQ",
    "associatedZzeCertID",
)
"""The metadata that always show, by the names that GB/T 36903 is implemented with."""
HOLDER_NAMES: Final = ("ZZBH", "CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM")
"""The metadata that are fields, which a holder may hide: number, holder, holder's code, its kind in words and as a code."""

HOLDER_CODE_TYPES: Final = {
    "001": "统一社会信用代码",
    "099": "其他法人证件",
    "111": "公民身份号码",
    "114": "军官证",
    "411": "外交护照",
    "412": "公务护照",
    "413": "公务普通护照",
    "414": "普通护照",
    "511": "台湾居民来往大陆通行证",
    "516": "港澳居民来往内地通行证",
    "999": "其他自然人有效证件",
}
"""Kinds of holder codes (GB/T 36903, as implemented)."""

Date = Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", min_length=10, max_length=10)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_LENGTH)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
FieldName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FIELD_NAME)]
FieldValue = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FIELD_VALUE)]
MediaType = Annotated[
    str,
    msgspec.Meta(
        # Python's $ lets one line feed through, which the last part refuses; elsewhere a fixed length does.
        pattern=r"^[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*$(?!\n)",
        max_length=MAX_MEDIA_TYPE,
    ),
]
PublicKeyOrNone = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{128})?$(?!\n)", max_length=128)]
FileSize = Annotated[int, msgspec.Meta(ge=0, le=MAX_ATTACHMENT_BYTES)]

_FIELD_SALT_MESSAGES: Final = [b"govnode/field-salt/1\0" + place.to_bytes(4, "big") for place in range(MAX_FIELDS)]
_ATTACHMENT_SALT_MESSAGES: Final = [
    b"govnode/attachment-salt/1\0" + place.to_bytes(4, "big") for place in range(MAX_ATTACHMENTS)
]
_FIELD: Final = TaggedHash("govnode/certificate-field/1")
_ATTACHMENT: Final = TaggedHash("govnode/certificate-attachment/1")
_DOCUMENT: Final = TaggedHash("govnode/certificate-document/1")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DRAFTED_TOGETHER: Final = 256
"""Documents whose hashes are taken together: enough to fill the lanes, and few enough to stay in the processor's caches."""

T = TypeVar("T", bound=msgspec.Struct)


class FieldCommitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field: its name for all to see, and what its value is bound by."""

    name: FieldName
    commitment: Hex32


class AttachmentCommitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attached file: name and media type for all to see, and what its size and SM3 are bound by."""

    name: Name
    media_type: MediaType
    commitment: Hex32


class DocumentCore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the issuer commits to; the ledger has its digest. Nothing in it is the value of a field that can be hidden."""

    identifier: Identifier = msgspec.field(name="ZZBS")
    type_name: Name = msgspec.field(name="ZZMC")
    type_code: Name = msgspec.field(name="ZZLXDM")
    issuer_name: Name = msgspec.field(name="ZZBFJG")
    issuer_code: Name = msgspec.field(name="ZZBFJGDM")
    issued_on: Date = msgspec.field(name="ZZBFRQ")
    valid_from: Date = msgspec.field(name="ZZYXQQSRQ")
    valid_to: Date = msgspec.field(name="ZZYXQJZRQ")
    """The last day, China time; WITHOUT_END for none."""
    predecessor: Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_LENGTH)] = msgspec.field(
        name="associatedZzeCertID"
    )
    """Empty where there is none."""
    holder_commitment: Hex32
    holder_key: PublicKeyOrNone
    """The SM2 key x || y that presentations are signed by; empty where the holder has none."""
    fields: Annotated[tuple[FieldCommitment, ...], msgspec.Meta(max_length=MAX_FIELDS)]
    attachments: Annotated[tuple[AttachmentCommitment, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)]


_ATTRIBUTES: Final = {
    field.encode_name: field.name for field in msgspec.structs.fields(DocumentCore)[: len(METADATA_NAMES)]
}
"""What a core calls the metadata that always show, in the order of METADATA_NAMES."""
_PARTICULARS: Final = {*METADATA_NAMES, *HOLDER_NAMES}
_ANY_HEX: Final = "0" * 64
_FieldCommitments = Annotated[tuple[FieldCommitment, ...], msgspec.Meta(max_length=MAX_FIELDS)]
_AttachmentCommitments = Annotated[tuple[AttachmentCommitment, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)]


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file by its size in bytes and its SM3."""

    size: FileSize
    sm3: Hex32


class Attachment(msgspec.Struct, frozen=True):
    """A file to attach."""

    name: str
    media_type: str
    digest: FileDigest


class Draft(msgspec.Struct, frozen=True):
    """A document without its seal: what a department makes before it signs or forms a batch. `secret` opens every field of it."""

    core: DocumentCore
    values: tuple[str, ...]
    files: tuple[FileDigest, ...]
    secret: bytes

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the ledger records."""
        return core_digest(self.core)

    @property
    def content(self) -> CertificateContent:
        """What the ledger or the leaf of a batch says of it."""
        return content_of(self.core)


class CertificateDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document as its holder keeps it: the core, every value in the core's order, and the secret that the salts derive from."""

    format: Literal["govnode-certificate/1"]
    core: DocumentCore
    values: Annotated[tuple[FieldValue, ...], msgspec.Meta(max_length=MAX_FIELDS)]
    files: Annotated[tuple[FileDigest, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)]
    secret: Hex32
    seal: IssuerSeal | BatchSeal


class Particulars(NamedTuple):
    """What a document is drafted from: metadata by the names of GB/T 36903, the type's own fields in their order, files, and the secret.

    ZZLXDM, ZZBFJGDM, CZZTDMLX and ZZYXQJZRQ may be left out: they follow from the rest (no end of validity). `secret` is
    document_secret's.
    """

    metadata: Mapping[str, str]
    fields: Sequence[tuple[str, str]]
    attachments: Sequence[Attachment]
    secret: bytes
    holder_key: bytes = b""


def draft_document(
    metadata: Mapping[str, str],
    fields: Sequence[tuple[str, str]],
    attachments: Sequence[Attachment],
    secret: bytes,
    *,
    holder_key: bytes = b"",
) -> Draft:
    """Return a document to seal, from its Particulars; raise InputError on anything that the rules of a document forbid."""
    plan = _plan(Particulars(metadata, fields, attachments, secret, holder_key))
    commitments = _commit([plan])[0]
    core = DocumentCore(
        **plan.metadata,
        holder_commitment=commitments.holder.hex(),
        holder_key=holder_key.hex(),
        fields=tuple(
            FieldCommitment(name, commitment.hex())
            for (name, _), commitment in zip(plan.named, commitments.fields, strict=True)
        ),
        attachments=tuple(
            AttachmentCommitment(one.name, one.media_type, commitment.hex())
            for one, commitment in zip(attachments, commitments.attachments, strict=True)
        ),
    )
    return Draft(core, tuple(value for _, value in plan.named), tuple(one.digest for one in attachments), secret)


def draft_contents(many: Sequence[Particulars]) -> list[CertificateContent]:
    """Return for each what the `content` of its draft_document is; hashed together, which takes half of the time."""
    contents: list[CertificateContent] = []
    for start in range(0, len(many), _DRAFTED_TOGETHER):
        contents += _contents([_plan(one) for one in many[start : start + _DRAFTED_TOGETHER]])
    return contents


def _contents(plans: Sequence[_Plan]) -> list[CertificateContent]:
    commitments = _commit(plans)
    digests = _DOCUMENT.many(
        [
            _core_message(
                plan.metadata,
                found.holder,
                plan.holder_key,
                [(name, bound) for (name, _), bound in zip(plan.named, found.fields, strict=True)],
                [
                    (one.name, one.media_type, bound)
                    for one, bound in zip(plan.attachments, found.attachments, strict=True)
                ],
            )
            for plan, found in zip(plans, commitments, strict=True)
        ]
    )
    return [
        CertificateContent(
            plan.metadata["identifier"],
            digest,
            found.holder,
            day_start_ms(plan.metadata["valid_from"]),
            day_end_ms(plan.metadata["valid_to"]),
        )
        for plan, found, digest in zip(plans, commitments, digests, strict=True)
    ]


class _Plan(NamedTuple):
    """Particulars that were checked: metadata by the attributes of a core, the fields in their order."""

    metadata: dict[str, str]
    named: list[tuple[str, str]]
    holder: Holder
    attachments: Sequence[Attachment]
    secret: bytes
    holder_key: bytes


class _Commitments(NamedTuple):
    holder: bytes
    fields: list[bytes]
    attachments: list[bytes]


def _plan(one: Particulars) -> _Plan:
    """Return the particulars of a document, checked; raise InputError on anything that the rules of a document forbid."""
    metadata = one.metadata
    if not _PARTICULARS.issuperset(metadata):
        unknown = min(set(metadata) - _PARTICULARS)
        raise malformed(f"元数据项 {unknown!r} 不在 GB/T 36903 之列", f"{unknown!r} is no name of the metadata")
    for name, text in [*metadata.items(), *one.fields, *((file.name, file.media_type) for file in one.attachments)]:
        _check_unicode(name, text)
    if len(one.secret) != SECRET_BYTES:
        raise malformed(
            f"密钥应为 {SECRET_BYTES} 字节", f"expected a secret of {SECRET_BYTES} bytes, found {len(one.secret)}"
        )
    parsed = _parse(metadata.get("ZZBS", ""))
    kind = metadata.get("CZZTDMLXDM", "")
    words = {"CZZTDMLX": HOLDER_CODE_TYPES.get(kind, ""), **metadata}
    core = {attribute: metadata.get(name, "") for name, attribute in _ATTRIBUTES.items()}
    core["identifier"] = parsed.text
    core["type_code"] = metadata.get("ZZLXDM", parsed.type_code)
    core["issuer_code"] = metadata.get("ZZBFJGDM", parsed.issuer_code)
    core["valid_to"] = metadata.get("ZZYXQJZRQ", WITHOUT_END)
    named = [(name, words[name]) for name in HOLDER_NAMES if words.get(name)] + list(one.fields)
    _check_metadata(parsed, core, one.holder_key)
    _check_names(tuple(name for name, _ in named), tuple((file.name, file.media_type) for file in one.attachments))
    for name, value in named:
        check_value(name, value)
    if one.attachments:
        _check_form([file.digest for file in one.attachments], tuple[FileDigest, ...])
    holder = Holder(kind, words.get("CZZTDM", ""), words.get("CZZT", ""))
    return _Plan(core, named, holder, one.attachments, one.secret, one.holder_key)


def _commit(plans: Sequence[_Plan]) -> list[_Commitments]:
    """Return what holder, fields and files of each plan are bound by; all of one kind are hashed together."""
    salts = hmac_sm3_many(
        [
            (
                plan.secret,
                [
                    holder_salt_message(plan.metadata["identifier"]),
                    *_FIELD_SALT_MESSAGES[: len(plan.named)],
                    *_ATTACHMENT_SALT_MESSAGES[: len(plan.attachments)],
                ],
            )
            for plan in plans
        ]
    )
    holders = hmac_sm3_many([(own[0], [holder_message(plan.holder)]) for plan, own in zip(plans, salts, strict=True)])
    field_messages, file_messages = [], []
    for plan, own in zip(plans, salts, strict=True):
        identifier = plan.metadata["identifier"]
        field_messages += [
            _field_message(identifier, place, name, own[1 + place][:SALT_BYTES], value)
            for place, (name, value) in enumerate(plan.named)
        ]
        first = 1 + len(plan.named)
        file_messages += [
            _attachment_message(
                identifier, place, one.name, one.media_type, own[first + place][:SALT_BYTES], one.digest
            )
            for place, one in enumerate(plan.attachments)
        ]
    fields, files = iter(_FIELD.many(field_messages)), iter(_ATTACHMENT.many(file_messages))
    return [
        _Commitments(holder[0], list(islice(fields, len(plan.named))), list(islice(files, len(plan.attachments))))
        for plan, holder in zip(plans, holders, strict=True)
    ]


def seal_document(draft: Draft, seal: IssuerSeal | BatchSeal) -> CertificateDocument:
    """Return the whole document; the seal is sign_document's, or the batch's for this certificate."""
    return CertificateDocument(FORMAT, draft.core, draft.values, draft.files, draft.secret.hex(), seal)


def document_secret(department_secret: bytes, identifier: str) -> bytes:
    """Return the 32 bytes that one document's salts derive from; the department's secret and the identifier (root included) fix it."""
    return document_secrets(department_secret, [identifier])[0]


def document_secrets(department_secret: bytes, identifiers: Sequence[str]) -> list[bytes]:
    """Return the document_secret of each identifier."""
    messages = [b"govnode/document-secret/1\0" + identifier.encode("utf-8") for identifier in identifiers]
    return hmac_sm3_many([(department_secret, messages)])[0]


def field_salt(secret: bytes, position: int) -> bytes:
    """Return the SALT_BYTES bytes that keep the value of a field from being guessed."""
    return hmac_sm3(secret, _FIELD_SALT_MESSAGES[position])[:SALT_BYTES]


def attachment_salt(secret: bytes, position: int) -> bytes:
    """Return the SALT_BYTES bytes that keep an attachment from being guessed: a filled-in form may have few possible contents."""
    return hmac_sm3(secret, _ATTACHMENT_SALT_MESSAGES[position])[:SALT_BYTES]


def field_commitment(identifier: str, position: int, name: str, salt: bytes, value: str) -> bytes:
    """Return the 32 bytes that bind a field's value to its document, place and name."""
    return _FIELD(_field_message(identifier, position, name, salt, value))


def _field_message(identifier: str, position: int, name: str, salt: bytes, value: str) -> bytes:
    return _ENCODER.encode((identifier, position, name, salt, value))


def attachment_commitment(
    identifier: str, position: int, name: str, media_type: str, salt: bytes, digest: FileDigest
) -> bytes:
    """Return the 32 bytes that bind an attached file to its document, place, name and media type."""
    return _ATTACHMENT(_attachment_message(identifier, position, name, media_type, salt, digest))


def _attachment_message(
    identifier: str, position: int, name: str, media_type: str, salt: bytes, digest: FileDigest
) -> bytes:
    return _ENCODER.encode((identifier, position, name, media_type, salt, digest.size, bytes.fromhex(digest.sm3)))


def metadata_of(core: DocumentCore) -> dict[str, str]:
    """Return what always shows, by METADATA_NAMES."""
    return {name: getattr(core, attribute) for name, attribute in _ATTRIBUTES.items()}


def core_digest(core: DocumentCore) -> bytes:
    """Return the 32 bytes that stand for a document on the ledger: tagged SM3 of the MessagePack array of its core."""
    return _DOCUMENT(
        _core_message(
            {attribute: getattr(core, attribute) for attribute in _ATTRIBUTES.values()},
            bytes.fromhex(core.holder_commitment),
            bytes.fromhex(core.holder_key),
            [(one.name, bytes.fromhex(one.commitment)) for one in core.fields],
            [(one.name, one.media_type, bytes.fromhex(one.commitment)) for one in core.attachments],
        )
    )


def _core_message(
    metadata: Mapping[str, str],
    holder_commitment: bytes,
    holder_key: bytes,
    fields: list[tuple[str, bytes]],
    attachments: list[tuple[str, str, bytes]],
) -> bytes:
    # The metadata stand in the order of METADATA_NAMES.
    return _ENCODER.encode((*metadata.values(), holder_commitment, holder_key, fields, attachments))


def content_of(core: DocumentCore) -> CertificateContent:
    """Return what the ledger, or the leaf of a batch, says of a document."""
    return CertificateContent(
        core.identifier,
        core_digest(core),
        bytes.fromhex(core.holder_commitment),
        day_start_ms(core.valid_from),
        day_end_ms(core.valid_to),
    )


def file_digest(data: bytes) -> FileDigest:
    """Return size and SM3 of a file."""
    return FileDigest(len(data), sm3(data).hex())


def encode_file(content: msgspec.Struct) -> bytes:
    """Return a document, presentation or annotated copy as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def decode_document(raw: bytes) -> CertificateDocument:
    """Return the document in a file; raise InputError DOCUMENT_MALFORMED (or CHECK_CHARACTER_MISMATCH) on anything else."""
    document = decode_strictly(raw, CertificateDocument)
    check_core(document.core)
    if len(document.values) != len(document.core.fields) or len(document.files) != len(document.core.attachments):
        raise malformed(
            "值与字段、附件的数目不符", "expected one value for each field and one digest for each attachment"
        )
    for field, value in zip(document.core.fields, document.values, strict=True):
        check_value(field.name, value)
    return document


def decode_strictly(raw: bytes, kind: type[T]) -> T:
    """Return a struct from JSON that has each of its members once and no others; raise InputError DOCUMENT_MALFORMED."""
    if len(raw) > MAX_DOCUMENT_FILE_BYTES:
        raise malformed(
            f"应不超过 {MAX_DOCUMENT_FILE_BYTES} 字节，实为 {len(raw)}",
            f"expected at most {MAX_DOCUMENT_FILE_BYTES} bytes, found {len(raw)}",
        )
    try:
        # Two decoders: this one takes nothing but the struct, which bounds the depth; the other sees names that stand twice.
        content = msgspec.json.decode(raw, type=kind)
        json.loads(raw, object_pairs_hook=unambiguous_object)
    except (msgspec.DecodeError, ValueError) as error:
        wanted = next(iter(get_args(get_type_hints(kind).get("format"))), "")
        if f'"{wanted}"'.encode() in raw or not wanted:
            raise malformed(*decoding_reason(error)) from None
        zh, en = found_kind(raw)
        raise malformed(f"应为 {wanted}，实为{zh}", f"expected {wanted}, found {en}") from None
    return content


def check_core(core: DocumentCore) -> None:
    """Return if a core obeys the rules that its form alone does not hold; raise InputError otherwise."""
    metadata = {attribute: getattr(core, attribute) for attribute in _ATTRIBUTES.values()}
    _check_metadata(_parse(core.identifier), metadata, bytes.fromhex(core.holder_key))
    _check_names(tuple(one.name for one in core.fields), tuple((one.name, one.media_type) for one in core.attachments))


def _parse(identifier: str) -> CertificateIdentifier:
    try:
        return parse_identifier(identifier)
    except Refused as refused:
        raise malformed(*refused.texts) from None


def _check_metadata(parsed: CertificateIdentifier, core: Mapping[str, str], holder_key: bytes) -> None:
    """Refuse metadata, by the attributes of a core, that break a rule or contradict the identifier."""
    try:
        for name, text in (("ZZMC", core["type_name"]), ("ZZBFJG", core["issuer_name"])):
            check_text(name, text, MAX_NAME)
        start_ms, end_ms = day_start_ms(core["valid_from"]), day_end_ms(core["valid_to"])
        check_period("ZZYXQQSRQ", start_ms, "ZZYXQJZRQ", end_ms)
        day_start_ms(core["issued_on"])
        predecessor = core["predecessor"]
        if predecessor and parse_identifier(predecessor).text != predecessor:
            raise ValueError("expected associatedZzeCertID with its root")
        if holder_key:
            check_public_key(holder_key)
    except Refused as refused:
        raise malformed(*refused.texts) from None
    except (ValueError, OverflowError, InvalidKey) as error:
        raise malformed(str(error), str(error)) from None
    if (parsed.text, parsed.type_code, parsed.issuer_code) != (
        core["identifier"],
        core["type_code"],
        core["issuer_code"],
    ):
        raise malformed(
            "证照标识须含根，且类型与颁发机构代码须与标识中的一致",
            "expected an identifier with its root, and the type and issuer codes that stand in it",
        )
    if parsed.check != parsed.expected_check:
        raise InputError(
            "CHECK_CHARACTER_MISMATCH",
            f"证照标识的校验位是 {parsed.check}，应为 {parsed.expected_check}",
            f"the check character of the identifier is {parsed.check}, expected {parsed.expected_check}",
        )


def check_value(name: str, value: str) -> None:
    """Return if a value is text without control characters but line feeds; raise InputError otherwise."""
    if not 1 <= len(value) <= MAX_FIELD_VALUE:
        raise malformed(
            f"字段 {name} 的值应为 1 至 {MAX_FIELD_VALUE} 个字符，实为 {len(value)}",
            f"expected 1 to {MAX_FIELD_VALUE} characters in {name}, found {len(value)}",
        )
    try:
        check_optional_text(name, value.replace("\n", "·"), MAX_FIELD_VALUE)
    except Refused as refused:
        raise malformed(*refused.texts) from None


def _check_unicode(name: str, text: str) -> None:
    """Refuse halves of surrogate pairs, which Python's text can hold and no file can."""
    if name.isascii() and text.isascii():
        return
    try:
        f"{name}{text}".encode()
    except UnicodeEncodeError:
        raise malformed(f"{name!a} 不是 Unicode 文本", f"{name!a} is no Unicode text") from None


@lru_cache(maxsize=256)  # the documents of a batch share their names
def _check_names(fields: tuple[str, ...], files: tuple[tuple[str, str], ...]) -> None:
    """Refuse names that stand twice, are taken by the metadata, or put the holder's metadata out of their order."""
    _check_form([{"name": name, "commitment": _ANY_HEX} for name in fields], _FieldCommitments)
    _check_form(
        [{"name": name, "media_type": kind, "commitment": _ANY_HEX} for name, kind in files], _AttachmentCommitments
    )
    for names in (fields, tuple(name for name, _ in files)):
        for name in names:
            try:
                check_text("name", name, MAX_NAME)
            except Refused as refused:
                raise malformed(*refused.texts) from None
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise malformed(f"{twice!r} 出现两次", f"the name {twice!r} stands twice")
    taken = set(fields) & set(METADATA_NAMES)
    if taken:
        raise malformed(f"字段名 {min(taken)} 属于公开元数据", f"{min(taken)} is metadata that always show, no field")
    leading = [name for name in HOLDER_NAMES if name in fields]
    if list(fields[: len(leading)]) != leading:
        raise malformed(
            f"字段应先依次为 {', '.join(leading)}",
            f"expected the fields to begin with {', '.join(leading)}, in this order",
        )


def _check_form(items: Sequence[object], form: Any) -> None:
    """Refuse what the form of a document does not allow."""
    try:
        msgspec.convert([msgspec.to_builtins(item) for item in items], form)
    except msgspec.ValidationError as error:
        raise malformed(*decoding_reason(error)) from None


def malformed(zh: str, en: str) -> InputError:
    """Return the one error of everything that is not a document, presentation or annotated copy."""
    return InputError("DOCUMENT_MALFORMED", f"不是合规的证照文件：{zh}", f"not a well-formed certificate file: {en}")
