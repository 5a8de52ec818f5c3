"""Presentations: a document with chosen fields open and the others as commitments, signed by the holder for one recipient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from contracts.fields import check_text
from contracts.refusals import Refused
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import TaggedHash
from verification.certificate_files.document import (
    MAX_ATTACHMENTS,
    MAX_FIELDS,
    SALT_BYTES,
    CertificateDocument,
    DocumentCore,
    FieldValue,
    FileSize,
    Name,
    attachment_salt,
    check_core,
    check_value,
    core_digest,
    decode_strictly,
    field_salt,
    malformed,
)
from verification.certificate_files.seals import BatchSeal, Hex32, IssuerSeal, Signature, TimeMs
from verification.days import show_time
from verification.errors import InputError

FORMAT: Final = "govnode-presentation/1"
MAX_PURPOSE: Final = 200

Salt = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^[0-9a-f]{{{2 * SALT_BYTES}}}$",
        min_length=2 * SALT_BYTES,
        max_length=2 * SALT_BYTES,
    ),
]
Purpose = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PURPOSE)]

_PRESENTATION: Final = TaggedHash("govnode/presentation/1")
_BINDING: Final = TaggedHash("govnode/presentation-binding/1")
_ENCODER: Final = msgspec.msgpack.Encoder()


class OpenField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field that is shown: its place in the core, counted from 0, its value and its salt."""

    position: Annotated[int, msgspec.Meta(ge=0, lt=MAX_FIELDS)]
    value: FieldValue
    salt: Salt


class OpenAttachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An attachment whose size and SM3 are shown, so that the file beside it can be compared."""

    position: Annotated[int, msgspec.Meta(ge=0, lt=MAX_ATTACHMENTS)]
    size: FileSize
    sm3: Hex32
    salt: Salt


class HolderBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom, what for and until when the holder shows it, under the holder's SM2 signature."""

    recipient: Name
    purpose: Purpose
    made_ms: TimeMs
    expires_ms: TimeMs
    signature: Signature


class Presentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole core with every field's name and commitment, and the values of those that are shown, in the core's order."""

    format: Literal["govnode-presentation/1"]
    core: DocumentCore
    fields: Annotated[tuple[OpenField, ...], msgspec.Meta(max_length=MAX_FIELDS)]
    attachments: Annotated[tuple[OpenAttachment, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)]
    seal: IssuerSeal | BatchSeal
    binding: HolderBinding | None

    @property
    def hidden_names(self) -> tuple[str, ...]:
        """The names of the fields whose values are not shown."""
        shown = {one.position for one in self.fields}
        return tuple(field.name for position, field in enumerate(self.core.fields) if position not in shown)


def present(document: CertificateDocument, names: Sequence[str], attachments: Sequence[str] = ()) -> Presentation:
    """Return a document with the named fields and attachments shown, not yet bound; raise InputError FIELD_UNKNOWN on other names."""
    places = _places(names, [field.name for field in document.core.fields])
    files = _places(attachments, [one.name for one in document.core.attachments])
    secret = bytes.fromhex(document.secret)
    return Presentation(
        FORMAT,
        document.core,
        tuple(OpenField(place, document.values[place], field_salt(secret, place).hex()) for place in places),
        tuple(
            OpenAttachment(
                place, document.files[place].size, document.files[place].sm3, attachment_salt(secret, place).hex()
            )
            for place in files
        ),
        document.seal,
        None,
    )


def bind_presentation(
    presentation: Presentation, holder: Signer, recipient: str, purpose: str, made_ms: int, expires_ms: int
) -> Presentation:
    """Return the presentation for one recipient, purpose and time, signed by the holder's key.

    Raises InputError HOLDER_KEY_DIFFERS where the document does not name that key, and DOCUMENT_MALFORMED on bad texts or times.
    """
    if presentation.core.holder_key != holder.public_key.hex():
        raise InputError(
            "HOLDER_KEY_DIFFERS",
            "证照没有登记这把持证人密钥",
            "the document does not name this key as its holder's",
        )
    unsigned = HolderBinding(recipient, purpose, made_ms, expires_ms, "")
    check_binding(unsigned)
    signature = holder.sign(binding_message(presentation, unsigned))
    return msgspec.structs.replace(presentation, binding=msgspec.structs.replace(unsigned, signature=signature.hex()))


def decode_presentation(raw: bytes) -> Presentation:
    """Return the presentation in a file; raise InputError DOCUMENT_MALFORMED (or CHECK_CHARACTER_MISMATCH) on anything else."""
    presentation = decode_strictly(raw, Presentation)
    check_presentation(presentation)
    return presentation


def check_presentation(presentation: Presentation) -> None:
    """Return if a presentation obeys the rules that its form alone does not hold; raise InputError otherwise."""
    check_core(presentation.core)
    for places, count in (
        ([one.position for one in presentation.fields], len(presentation.core.fields)),
        ([one.position for one in presentation.attachments], len(presentation.core.attachments)),
    ):
        if any(left >= right for left, right in pairwise([*places, count])):
            raise malformed(
                f"出示项的位置应递增且小于 {count}，实为 {places}",
                f"expected ascending positions below {count}, found {places}",
            )
    for one in presentation.fields:
        check_value(presentation.core.fields[one.position].name, one.value)
    if presentation.binding is not None:
        if not presentation.core.holder_key:
            raise malformed(
                "证照没有持证人密钥，不能有持证人签名", "the core names no holder key that could have signed"
            )
        check_binding(presentation.binding)


def check_binding(binding: HolderBinding) -> None:
    """Return if recipient and purpose are plain texts and the expiry is after the making; raise InputError otherwise."""
    try:
        check_text("recipient", binding.recipient, 128)
        check_text("purpose", binding.purpose, MAX_PURPOSE)
    except Refused as refused:
        raise malformed(*refused.texts) from None
    check_times(binding.made_ms, binding.expires_ms)


def check_times(made_ms: int, expires_ms: int) -> None:
    """Return if an expiry is after the making; raise InputError otherwise."""
    if made_ms >= expires_ms:
        raise malformed(
            f"到期时间 {show_time(expires_ms)} 应晚于制作时间 {show_time(made_ms)}",
            f"expected an expiry after {show_time(made_ms)}, found {show_time(expires_ms)}",
        )


def presentation_digest(presentation: Presentation) -> bytes:
    """Return the 32 bytes that stand for what is shown: the document, and the chosen values with their salts."""
    return _PRESENTATION(
        _ENCODER.encode(
            (
                core_digest(presentation.core),
                [(one.position, one.value, bytes.fromhex(one.salt)) for one in presentation.fields],
                [
                    (one.position, one.size, bytes.fromhex(one.sm3), bytes.fromhex(one.salt))
                    for one in presentation.attachments
                ],
            )
        )
    )


def binding_message(presentation: Presentation, binding: HolderBinding) -> bytes:
    """Return the 32 bytes that the holder signs; the signature in `binding` is not part of them."""
    return _BINDING(
        _ENCODER.encode(
            (
                presentation_digest(presentation),
                binding.recipient,
                binding.purpose,
                binding.made_ms,
                binding.expires_ms,
            )
        )
    )


def _places(names: Sequence[str], known: list[str]) -> list[int]:
    """Return where the names stand, ascending."""
    for name in names:
        if name not in known:
            raise InputError(
                "FIELD_UNKNOWN",
                f"证照没有字段或附件 {name!r}，有 {'、'.join(known) or '无'}",
                f"the document has no field or attachment {name!r}, it has {', '.join(known) or 'none'}",
            )
    return sorted({known.index(name) for name in names})
