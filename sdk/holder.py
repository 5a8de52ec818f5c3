"""Showing a certificate from a holder's own app: chosen fields of a document, for one recipient, without any node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sm_crypto.keystore import Signer
from verification.certificate_files.document import decode_document, encode_file
from verification.certificate_files.presentation import bind_presentation, present
from verification.errors import InputError

DEFAULT_USE_MS: Final = 24 * 3_600_000


def present_certificate(
    document: bytes,
    names: Sequence[str],
    *,
    attachments: Sequence[str] = (),
    signer: Signer | None = None,
    recipient: str = "",
    purpose: str = "",
    use_ms: int = DEFAULT_USE_MS,
) -> bytes:
    """Return a presentation file with the named fields and attachments of a document shown, and all others hidden.

    A document that names a holder's key needs its signer, recipient and purpose, and the presentation may be used for `use_ms`
    from now; to any other they cannot be bound, and must be left out. Raises InputError where that is not so, DOCUMENT_MALFORMED, or
    FIELD_UNKNOWN.
    """
    shown = present(decode_document(document), names, attachments)
    if bool(shown.core.holder_key) != (signer is not None) or (signer is None and (recipient or purpose)):
        raise InputError(
            "HOLDER_KEY_DIFFERS",
            "登记了持证人密钥的证照须由该密钥签名出示，并给出接收方与用途；没有登记的不能限定接收方与用途",
            "a document that names a holder's key is presented under its signature, with recipient and purpose; one without cannot "
            "be bound to them",
        )
    if signer is not None:
        now_ms = time.time_ns() // 1_000_000
        shown = bind_presentation(shown, signer, recipient, purpose, now_ms, now_ms + use_ms)
    return encode_file(shown)
