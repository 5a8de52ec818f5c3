"""Annotated copies, 加注件: a presentation with who copied it, when, for whom, why and until when, signed by the maker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from contracts.fields import check_text
from contracts.identifiers import verify_uscc
from contracts.refusals import Refused
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import TaggedHash
from sm_crypto.x509 import Certificate
from verification.certificate_files.document import MAX_NAME, Name, decode_strictly, malformed
from verification.certificate_files.presentation import (
    MAX_PURPOSE,
    Presentation,
    Purpose,
    check_presentation,
    check_times,
    presentation_digest,
)
from verification.certificate_files.seals import Chain, Signature, TimeMs, check_signer

FORMAT: Final = "govnode-annotated-copy/1"

_COPY: Final = TaggedHash("govnode/annotated-copy/1")
_ENCODER: Final = msgspec.msgpack.Encoder()


class Annotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a copy is for, by the names that GB/T 36903 is implemented with; times in ms since 1970-01-01T00:00Z."""

    made_ms: TimeMs = msgspec.field(name="JZJZZSJ")
    maker: Name = msgspec.field(name="JZJZZZ")
    """The department's name as its certificate has it."""
    maker_code: Annotated[str, msgspec.Meta(min_length=18, max_length=18)]
    reason: Purpose = msgspec.field(name="JZJZZSY")
    recipient: Name
    expires_ms: TimeMs = msgspec.field(name="JZJYXQJZSJ")


class AnnotatedCopy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An original as it was presented, its annotation, and the maker's signature over both with its chain, signer first."""

    format: Literal["govnode-annotated-copy/1"]
    original: Presentation
    annotation: Annotation
    signature: Signature
    chain: Chain


def make_annotated_copy(
    original: Presentation,
    signer: Signer,
    chain: Sequence[Certificate],
    *,
    reason: str,
    recipient: str,
    made_ms: int,
    expires_ms: int,
) -> AnnotatedCopy:
    """Return a copy of what was presented, made in the name of the department whose certificate stands above the signer's.

    Raises InputError CHAIN_INVALID where the chain is not the signer's, and DOCUMENT_MALFORMED on bad texts or times.
    """
    check_signer(signer, chain)
    department = chain[1]
    annotation = Annotation(
        made_ms, department.common_name, department.organization_identifier, reason, recipient, expires_ms
    )
    check_annotation(annotation)
    signature = signer.sign(copy_message(original, annotation))
    return AnnotatedCopy(FORMAT, original, annotation, signature.hex(), tuple(one.der.hex() for one in chain))


def decode_annotated_copy(raw: bytes) -> AnnotatedCopy:
    """Return the copy in a file; raise InputError DOCUMENT_MALFORMED (or CHECK_CHARACTER_MISMATCH) on anything else."""
    copy = decode_strictly(raw, AnnotatedCopy)
    check_presentation(copy.original)
    check_annotation(copy.annotation)
    return copy


def check_annotation(annotation: Annotation) -> None:
    """Return if texts, the maker's credit code and the times of an annotation are right; raise InputError otherwise."""
    try:
        check_text("JZJZZZ", annotation.maker, MAX_NAME)
        verify_uscc(annotation.maker_code)
        check_text("JZJZZSY", annotation.reason, MAX_PURPOSE)
        check_text("recipient", annotation.recipient, MAX_NAME)
    except Refused as refused:
        raise malformed(*refused.texts) from None
    check_times(annotation.made_ms, annotation.expires_ms)


def copy_message(original: Presentation, annotation: Annotation) -> bytes:
    """Return the 32 bytes that the maker signs: what was presented, with the holder's words and signature, and the annotation."""
    binding = original.binding
    return _COPY(
        _ENCODER.encode(
            (
                presentation_digest(original),
                None
                if binding is None
                else (
                    binding.recipient,
                    binding.purpose,
                    binding.made_ms,
                    binding.expires_ms,
                    bytes.fromhex(binding.signature),
                ),
                annotation.made_ms,
                annotation.maker,
                annotation.maker_code,
                annotation.reason,
                annotation.recipient,
                annotation.expires_ms,
            )
        )
    )
