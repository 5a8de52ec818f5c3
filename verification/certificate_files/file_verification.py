"""Verifies documents, presentations and annotated copies without a node: named steps, and one code for why one breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts.certificate_records import CertificateContent
from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.sm2 import verify
from sm_crypto.x509 import CLOCK_SKEW_MS, Certificate
from verification.certificate_files.annotated_copy import FORMAT as COPY_FORMAT
from verification.certificate_files.annotated_copy import AnnotatedCopy, copy_message, decode_annotated_copy
from verification.certificate_files.document import FORMAT as DOCUMENT_FORMAT
from verification.certificate_files.document import (
    CertificateDocument,
    DocumentCore,
    FileDigest,
    attachment_commitment,
    content_of,
    core_digest,
    decode_document,
    field_commitment,
    field_salt,
    metadata_of,
)
from verification.certificate_files.presentation import FORMAT as PRESENTATION_FORMAT
from verification.certificate_files.presentation import (
    OpenAttachment,
    Presentation,
    binding_message,
    decode_presentation,
    present,
)
from verification.certificate_files.seals import (
    BatchSeal,
    IssuerSeal,
    verify_membership,
    verify_seal,
    verify_signature,
    verify_signer,
)
from verification.days import show_time
from verification.errors import InputError
from verification.holders import Holder, holder_commitment, holder_salt

StepState: TypeAlias = Literal["held", "broken", "not-reached", "not-asked"]
Kind: TypeAlias = Literal["document", "presentation", "annotated-copy"]

GENUINE: Final = "GENUINE"
"""The code of a verdict that accepts; whether the certificate is in force is the ledger's to say."""

STEPS: Final[dict[str, tuple[str, str]]] = {
    "file": ("文件格式正确", "the file is well-formed"),
    "ledger": ("就是账本登记的那一份", "it is the one that the ledger records"),
    "batch": ("属于所指的批次", "it belongs to the batch that it names"),
    "seal": ("颁发机构的 SM2 签名有效", "the issuer's SM2 signature holds"),
    "chain": ("签名人属于颁发机构", "the signer belongs to the issuer"),
    "fields": ("出示的值就是颁发时的值", "the values shown are those that were issued"),
    "holder": ("持证主体与登记的承诺一致", "the holder is the one committed to"),
    "attachments": ("附件就是颁发时的文件", "the attached files are those that were issued"),
    "binding": ("持证人的 SM2 签名有效", "the holder's SM2 signature holds"),
    "maker": ("加注机构的 SM2 签名有效", "the SM2 signature of the copy's maker holds"),
    "recipient": ("就是给您的", "it is made out to you"),
    "expiry": ("在使用期限内", "it may still be used"),
}
"""Every step with what it means when it holds; which of them a file goes through, STEPS_OF says."""
STEPS_OF: Final[dict[Kind, tuple[str, ...]]] = {
    "document": ("file", "ledger", "batch", "seal", "chain", "fields", "holder", "attachments"),
    "presentation": (
        *("file", "ledger", "batch", "seal", "chain", "fields", "attachments"),
        *("binding", "recipient", "expiry"),
    ),
    "annotated-copy": (
        *("file", "ledger", "batch", "seal", "chain", "fields", "attachments"),
        *("binding", "maker", "recipient", "expiry"),
    ),
}
_KIND_NAMES: Final[dict[Kind, tuple[str, str]]] = {
    "document": ("证照文件", "certificate document"),
    "presentation": ("证照出示件", "presentation"),
    "annotated-copy": ("证照加注件", "annotated copy"),
}

MAKERS_WORD: Final = (
    "证照登记了持证人密钥，而持证人没有签名：是否由持证人出示，仅凭加注机构所述",
    "the document names a holder's key, which did not sign: that its holder showed it is the word of the copy's maker alone",
)
"""What a verdict says of a copy with `is_on_makers_word`."""

_NO_FILES: Final[dict[str, FileDigest]] = {}


class Expectations(msgspec.Struct, frozen=True):
    """What a verifier knows beforehand: trusted roots, what a proved record of the ledger says, its own name, files it was given.

    One of `roots`, `ledger` and `ledger_root` must be there: a signature alone proves nothing.
    """

    now_ms: int
    roots: tuple[Certificate, ...] | None = None
    ledger: CertificateContent | None = None
    """What the certificate's record says."""
    ledger_root: bytes | None = None
    """`root` of the batch's record."""
    recipient: str | None = None
    """Who asks, as presentations and copies name it."""
    attachments: Mapping[str, FileDigest] = _NO_FILES
    """Files at hand, by the names that the document gives them."""


class DocumentStep(msgspec.Struct, frozen=True):
    """One step of verification, and how it came out; `code` names why it broke, and is empty when it did not."""

    step: str
    state: StepState
    code: str
    zh: str
    en: str


class DocumentVerdict(msgspec.Struct, frozen=True):
    """The outcome: `code` is GENUINE when accepted, else that of the broken step; what was verified is filled in only when accepted."""

    kind: Kind
    is_accepted: bool
    code: str
    zh: str
    en: str
    broken_step: str | None
    steps: tuple[DocumentStep, ...]
    identifier: str | None = None
    document_digest: str | None = None
    values: dict[str, str] | None = None
    """The values shown, by name."""
    hidden: tuple[str, ...] = ()
    """The names of the fields whose values are not shown."""
    signer: str | None = None
    recipient: str | None = None
    purpose: str | None = None
    expires_ms: int | None = None
    maker: str | None = None
    """The department that made an annotated copy."""
    metadata: dict[str, str] | None = None
    """What always shows (type, issuer, days), by METADATA_NAMES."""
    is_on_makers_word: bool = False
    """Whether the document names a holder's key that did not sign: who showed it, to whom, is the word of the copy's maker alone."""


class _Format(msgspec.Struct):
    format: str = ""


_KINDS: Final[dict[str, Kind]] = {
    DOCUMENT_FORMAT: "document",
    PRESENTATION_FORMAT: "presentation",
    COPY_FORMAT: "annotated-copy",
}


class _Steps:
    """Runs steps in their order and stops at the first that breaks."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.done: list[DocumentStep] = []
        self.broken: DocumentStep | None = None

    def run(self, step: str, check: Callable[[], Any]) -> Any:
        """Return what the check returns, None once a step is broken; a check of a thing not asked for returns False."""
        if self.broken is not None:
            self.done.append(DocumentStep(step, "not-reached", "", *STEPS[step]))
            return None
        try:
            found = check()
        except InputError as error:
            self.broken = DocumentStep(step, "broken", error.code, error.zh, error.en)
            self.done.append(self.broken)
            return None
        self.done.append(DocumentStep(step, "not-asked" if found is False else "held", "", *STEPS[step]))
        return found

    def verdict(self, **verified: Any) -> DocumentVerdict:
        """Return the outcome of all steps."""
        zh, en = _KIND_NAMES[self.kind]
        steps = tuple(self.done)
        if self.broken is None:
            return DocumentVerdict(
                self.kind,
                True,
                GENUINE,
                f"{zh}真实完整；证照现在是否有效以账本为准",
                f"the {en} is genuine and whole; whether the certificate is in force is for the ledger to say",
                None,
                steps,
                **verified,
            )
        broken = self.broken
        return DocumentVerdict(
            self.kind,
            False,
            broken.code,
            f"{zh}不予采信，断在“{STEPS[broken.step][0]}”：{broken.zh}",
            f'the {en} is refused; the broken step is {broken.step} ("{STEPS[broken.step][1]}"): {broken.en}',
            broken.step,
            steps,
        )


def verify_document(raw: bytes, expected: Expectations) -> DocumentVerdict:
    """Return the verdict on the bytes of a document, as its holder or a department has it."""
    steps = _Steps("document")
    document: CertificateDocument | None = steps.run("file", lambda: decode_document(raw))
    if document is None:
        return _unreadable(steps)
    signer = _run_origin(steps, document.core, document.seal, expected)
    steps.run("fields", lambda: _check_all_fields(document))
    steps.run("holder", lambda: _check_holder(document))
    steps.run("attachments", lambda: _check_attachments(document.core, _all_attachments(document), expected))
    return steps.verdict(
        identifier=document.core.identifier,
        document_digest=core_digest(document.core).hex(),
        values={field.name: value for field, value in zip(document.core.fields, document.values, strict=True)},
        signer=signer,
        metadata=metadata_of(document.core),
    )


def verify_presentation(raw: bytes, expected: Expectations) -> DocumentVerdict:
    """Return the verdict on the bytes of a presentation; one whose document names a holder key must be signed by it."""
    steps = _Steps("presentation")
    presentation: Presentation | None = steps.run("file", lambda: decode_presentation(raw))
    if presentation is None:
        return _unreadable(steps)
    signer = _run_presented(steps, presentation, expected)
    binding = presentation.binding
    steps.run("binding", lambda: _check_binding(presentation, is_needed=bool(presentation.core.holder_key)))
    recipient = None if binding is None else binding.recipient
    steps.run("recipient", lambda: _check_recipient(recipient, expected))
    steps.run(
        "expiry", lambda: binding is not None and _check_times(binding.made_ms, binding.expires_ms, expected.now_ms)
    )
    return steps.verdict(
        **_shown(presentation),
        signer=signer,
        recipient=recipient,
        purpose=None if binding is None else binding.purpose,
        expires_ms=None if binding is None else binding.expires_ms,
    )


def verify_annotated_copy(raw: bytes, expected: Expectations) -> DocumentVerdict:
    """Return the verdict on the bytes of an annotated copy; its maker's chain is judged as of when the copy was made."""
    steps = _Steps("annotated-copy")
    copy: AnnotatedCopy | None = steps.run("file", lambda: decode_annotated_copy(raw))
    if copy is None:
        return _unreadable(steps)
    annotation = copy.annotation
    signer = _run_presented(steps, copy.original, expected)
    steps.run("binding", lambda: _check_presented_to_maker(copy))
    steps.run("maker", lambda: _check_maker(copy, expected))
    steps.run("recipient", lambda: _check_recipient(annotation.recipient, expected))
    steps.run("expiry", lambda: _check_times(annotation.made_ms, annotation.expires_ms, expected.now_ms))
    verdict = steps.verdict(
        **_shown(copy.original),
        signer=signer,
        recipient=annotation.recipient,
        purpose=annotation.reason,
        expires_ms=annotation.expires_ms,
        maker=annotation.maker,
    )
    if not verdict.is_accepted or not copy.original.core.holder_key or copy.original.binding is not None:
        return verdict
    zh, en = f"{verdict.zh}；{MAKERS_WORD[0]}", f"{verdict.en}; {MAKERS_WORD[1]}"
    return msgspec.structs.replace(verdict, is_on_makers_word=True, zh=zh, en=en)


def certificate_file_kind(raw: bytes) -> Kind | None:
    """Return which of the three kinds of file these bytes say they are, None for any other file; nothing else is checked."""
    try:
        return _KINDS.get(msgspec.json.decode(raw, type=_Format).format)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def decode_origin(raw: bytes) -> tuple[DocumentCore, IssuerSeal | BatchSeal]:
    """Return core and seal of a document, presentation or annotated copy, nothing of which is verified; raise InputError on others."""
    kind = certificate_file_kind(raw)
    if kind == "document":
        document = decode_document(raw)
        return document.core, document.seal
    if kind == "presentation":
        presentation = decode_presentation(raw)
        return presentation.core, presentation.seal
    original = decode_annotated_copy(raw).original
    return original.core, original.seal


def verify_file(raw: bytes, kind: Kind, expected: Expectations) -> DocumentVerdict:
    """Return the verdict on the bytes of a file of this kind."""
    return _VERIFIERS[kind](raw, expected)


def _unreadable(steps: _Steps) -> DocumentVerdict:
    for step in STEPS_OF[steps.kind][1:]:
        steps.run(step, lambda: None)
    return steps.verdict()


def _run_origin(steps: _Steps, core: DocumentCore, seal: IssuerSeal | BatchSeal, expected: Expectations) -> str | None:
    """Run the steps about where a core comes from; return the name of the issuer's signer."""
    digest = core_digest(core)
    steps.run("ledger", lambda: _check_ledger(core, seal, expected))
    steps.run("batch", lambda: _check_batch(core, seal))
    signer: Certificate | None = steps.run("seal", lambda: verify_seal(seal, digest))
    steps.run("chain", lambda: _check_issuer(core, seal, expected))
    return None if signer is None else signer.common_name


def _run_presented(steps: _Steps, presentation: Presentation, expected: Expectations) -> str | None:
    """Run the steps about a document as it is presented; return the name of the issuer's signer."""
    signer = _run_origin(steps, presentation.core, presentation.seal, expected)
    steps.run("fields", lambda: _check_open_fields(presentation))
    steps.run("attachments", lambda: _check_attachments(presentation.core, presentation.attachments, expected))
    return signer


def _shown(presentation: Presentation) -> dict[str, Any]:
    core = presentation.core
    return {
        "identifier": core.identifier,
        "document_digest": core_digest(core).hex(),
        "values": {core.fields[one.position].name: one.value for one in presentation.fields},
        "hidden": presentation.hidden_names,
        "metadata": metadata_of(core),
    }


def _check_ledger(core: DocumentCore, seal: IssuerSeal | BatchSeal, expected: Expectations) -> bool:
    content = content_of(core)
    is_other_digest = expected.ledger is not None and expected.ledger.document_digest != content.document_digest
    if expected.ledger is not None and is_other_digest and expected.ledger.identifier != content.identifier:
        raise InputError(
            "ANOTHER_CERTIFICATE",
            f"这份文件是证照 {content.identifier} 的，所对照的账本记录是 {expected.ledger.identifier} 的：请取该证照自身的证明或文件",
            f"this file is of the certificate {content.identifier}, the ledger's record of {expected.ledger.identifier}: take the "
            "proof of the file's own certificate, or the file of the proved one",
        )
    if is_other_digest:
        raise InputError(
            "DOCUMENT_CHANGED",
            "与账本登记的不符：公开元数据、字段名、字段顺序或承诺被改动，或者是另一份证照",
            "not what the ledger records: metadata, names, order or commitments were changed, or it is another certificate",
        )
    if expected.ledger is not None and expected.ledger != content:
        raise InputError(
            "RECORD_DIFFERS",
            "账本登记的标识、有效期或持证主体承诺与证照文件所载不同：请向颁发机构查询",
            "the ledger records another identifier, validity or holder than the document says: ask the issuer",
        )
    if expected.ledger_root is None:
        return expected.ledger is not None
    if not isinstance(seal, BatchSeal) or bytes.fromhex(seal.root) != expected.ledger_root:
        raise InputError(
            "ANOTHER_BATCH",
            "批次的默克尔根与账本登记的不符",
            "the Merkle root of its batch is not the one that the ledger records",
        )
    return True


def _check_batch(core: DocumentCore, seal: IssuerSeal | BatchSeal) -> bool:
    if not isinstance(seal, BatchSeal):
        return False
    verify_membership(seal, content_of(core))
    return True


def _check_issuer(core: DocumentCore, seal: IssuerSeal | BatchSeal, expected: Expectations) -> bool:
    if expected.roots is None and expected.ledger is None and expected.ledger_root is None:
        raise InputError(
            "TRUST_MISSING",
            "需要所信任的根证书，或账本上该证照的记录",
            "trusted root certificates are needed, or the certificate's record on the ledger",
        )
    verify_signer(seal.chain, core.issuer_code, expected.roots, seal.signed_ms)
    _check_signed_before(seal.signed_ms, expected.now_ms)
    return expected.roots is not None


def _check_all_fields(document: CertificateDocument) -> bool:
    """Check every value; where the secret opens neither these nor the holder nor an attachment, it is the secret that was changed."""
    core, secret = document.core, bytes.fromhex(document.secret)
    changed = [
        field.name
        for position, (field, value) in enumerate(zip(core.fields, document.values, strict=True))
        if field_commitment(core.identifier, position, field.name, field_salt(secret, position), value).hex()
        != field.commitment
    ]
    opens_anything = (
        len(changed) < len(core.fields)
        or _is_holder_committed(document)
        or any(map(_is_attachment_committed, repeat(core), _all_attachments(document)))
    )
    if not opens_anything:
        raise InputError(
            "SALT_WRONG",
            "文件中的密钥打不开任何承诺：密钥被改动或属于另一份证照，或者全部值都被替换",
            "the secret in the file opens no commitment: it was changed or is another certificate's, or every value was replaced",
        )
    if changed:
        raise _field_changed(changed)
    return True


def _check_open_fields(presentation: Presentation) -> bool:
    core = presentation.core
    changed = []
    for one in presentation.fields:
        field = core.fields[one.position]
        salt = bytes.fromhex(one.salt)
        if field_commitment(core.identifier, one.position, field.name, salt, one.value).hex() != field.commitment:
            changed.append(field.name)
    if changed:
        raise _field_changed(changed)
    return bool(presentation.fields)


def _field_changed(names: Sequence[str]) -> InputError:
    return InputError(
        "FIELD_CHANGED",
        f"字段 {'、'.join(names)} 的值（或其盐）不是颁发时的",
        f"the value (or its salt) is not the one that was issued: {', '.join(names)}",
    )


def _check_holder(document: CertificateDocument) -> bool:
    if not _is_holder_committed(document):
        raise InputError(
            "HOLDER_CHANGED",
            "持证主体的承诺与字段中的持证主体不符",
            "the holder's commitment is not about the holder in the fields",
        )
    return True


def _is_holder_committed(document: CertificateDocument) -> bool:
    values = {field.name: value for field, value in zip(document.core.fields, document.values, strict=True)}
    holder = Holder(values.get("CZZTDMLXDM", ""), values.get("CZZTDM", ""), values.get("CZZT", ""))
    salt = holder_salt(bytes.fromhex(document.secret), document.core.identifier)
    return holder_commitment(salt, holder).hex() == document.core.holder_commitment


def _check_attachments(core: DocumentCore, shown: Sequence[OpenAttachment], expected: Expectations) -> bool:
    """Check what the document says of its files, and the files at hand against that."""
    digests: dict[str, FileDigest] = {}
    for one in shown:
        name = core.attachments[one.position].name
        if not _is_attachment_committed(core, one):
            raise _attachment_changed(name)
        digests[name] = FileDigest(one.size, one.sm3)
    for name, digest in expected.attachments.items():
        if name not in digests:
            raise InputError(
                "ATTACHMENT_UNKNOWN",
                f"文件 {name!r} 不在出示的附件之列",
                f"the file {name!r} is none of the attachments shown",
            )
        if digest != digests[name]:
            raise _attachment_changed(name)
    return bool(expected.attachments)


def _is_attachment_committed(core: DocumentCore, shown: OpenAttachment) -> bool:
    entry, salt = core.attachments[shown.position], bytes.fromhex(shown.salt)
    digest = FileDigest(shown.size, shown.sm3)
    commitment = attachment_commitment(core.identifier, shown.position, entry.name, entry.media_type, salt, digest)
    return commitment.hex() == entry.commitment


def _all_attachments(document: CertificateDocument) -> tuple[OpenAttachment, ...]:
    return present(document, (), [one.name for one in document.core.attachments]).attachments


def _attachment_changed(name: str) -> InputError:
    return InputError(
        "ATTACHMENT_CHANGED",
        f"附件 {name} 不是颁发时的文件",
        f"the attachment {name} is not the file that was issued",
    )


def _check_binding(presentation: Presentation, *, is_needed: bool) -> bool:
    binding = presentation.binding
    if binding is None:
        if is_needed:
            raise InputError(
                "HOLDER_SIGNATURE_MISSING",
                "证照登记了持证人密钥，出示件须由持证人签名",
                "the document names a holder key: a presentation of it must be signed by the holder",
            )
        return False
    try:
        key, signature = bytes.fromhex(presentation.core.holder_key), bytes.fromhex(binding.signature)
        verify(key, binding_message(presentation, binding), signature)
    except (InvalidKey, InvalidSignature):
        raise InputError(
            "HOLDER_SIGNATURE_INVALID",
            "持证人签名不成立：出示内容、接收方、用途或期限在签名后被改动",
            "the holder's signature does not hold: what is shown, for whom, what for or until when was changed after signing",
        ) from None
    return True


def _check_presented_to_maker(copy: AnnotatedCopy) -> bool:
    """Check the holder's signature where there is one, and that the holder showed it to the maker, in time."""
    binding, annotation = copy.original.binding, copy.annotation
    if binding is None or not _check_binding(copy.original, is_needed=False):
        return False
    if binding.recipient not in {annotation.maker, annotation.maker_code}:
        raise _anothers(binding.recipient, annotation.maker)
    _check_times(binding.made_ms, binding.expires_ms, annotation.made_ms)
    return True


def _check_maker(copy: AnnotatedCopy, expected: Expectations) -> bool:
    annotation = copy.annotation
    verify_signature(copy_message(copy.original, annotation), copy.signature, copy.chain, "MAKER_SIGNATURE_INVALID")
    if expected.roots is None:
        raise InputError(
            "TRUST_MISSING",
            "核验加注机构需要所信任的根证书",
            "trusted root certificates are needed to tell who made the copy",
        )
    department = verify_signer(copy.chain, annotation.maker_code, expected.roots, annotation.made_ms)
    if department.common_name != annotation.maker:
        raise InputError(
            "SIGNER_NOT_OF_DEPARTMENT",
            f"证书中的部门是 {department.common_name}，加注为 {annotation.maker}",
            f"the certificate is of {department.common_name}, the annotation says {annotation.maker}",
        )
    return True


def _check_recipient(recipient: str | None, expected: Expectations) -> bool:
    if expected.recipient is None or recipient is None:
        return False
    if recipient != expected.recipient:
        raise _anothers(recipient, expected.recipient)
    return True


def _anothers(recipient: str, asking: str) -> InputError:
    return InputError(
        "ANOTHERS_COPY",
        f"这是给 {recipient} 的，不是给 {asking} 的",
        f"it is made out to {recipient}, not to {asking}",
    )


def _check_times(made_ms: int, expires_ms: int, now_ms: int) -> bool:
    _check_signed_before(made_ms, now_ms)
    if expires_ms < now_ms:
        raise InputError(
            "COPY_EXPIRED",
            f"使用期限已于 {show_time(expires_ms)} 届满",
            f"it was to be used until {show_time(expires_ms)}",
        )
    return True


def _check_signed_before(signed_ms: int, now_ms: int) -> None:
    if signed_ms > now_ms + CLOCK_SKEW_MS:
        raise InputError(
            "SIGNED_IN_FUTURE",
            f"签名时间 {show_time(signed_ms)} 在将来：请检查本机时钟",
            f"it was signed at {show_time(signed_ms)}, which is in the future: check this machine's clock",
        )


_VERIFIERS: Final[dict[Kind, Callable[[bytes, Expectations], DocumentVerdict]]] = {
    "document": verify_document,
    "presentation": verify_presentation,
    "annotated-copy": verify_annotated_copy,
}
