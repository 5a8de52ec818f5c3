"""Forgeries of what is made of a document: presentations, annotated copies, attached files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sm_crypto.keystore import Signer
from tests.verification.tampering.forged_world import (
    DAY_MS,
    DEED,
    PDF,
    PLAN,
    PLAN_NAME,
    ForgedWorld,
    Forgeries,
    at,
    edited,
    flip,
)
from verification.certificate_files.document import encode_file, file_digest
from verification.certificate_files.presentation import bind_presentation, present

MALFORMED = "DOCUMENT_MALFORMED"


def presentations(w: ForgedWorld) -> Forgeries:
    """Presentations that were made out to others, or changed since the holder signed."""
    bound, proof = w.bound_file, w.proofs["bound"]
    late_ms = w.now_ms + 60 * DAY_MS

    def of_bound(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(bound, *path, to=to))

    yield "a presentation for another", "ANOTHERS_COPY", lambda: w.verify(proof, bound, recipient="示例银行")
    yield "its recipient exchanged", "HOLDER_SIGNATURE_INVALID", of_bound("binding", "recipient", to="示例银行")
    yield "its purpose exchanged", "HOLDER_SIGNATURE_INVALID", of_bound("binding", "purpose", to="办理贷款")
    yield "its expiry put off", "HOLDER_SIGNATURE_INVALID", of_bound("binding", "expires_ms", to=late_ms)
    yield "used after its expiry", "COPY_EXPIRED", lambda: w.verify(proof, bound, now_ms=late_ms)
    yield "the holder's signature left out", "HOLDER_SIGNATURE_MISSING", of_bound("binding", to=None)
    yield "the holder's signature changed", "HOLDER_SIGNATURE_INVALID", of_bound("binding", "signature", to=flip)
    yield "signed by the thief", "HOLDER_SIGNATURE_INVALID", lambda: w.verify(proof, encode_file(_bound_by(w, w.thief)))
    yield (
        "made in the future",
        "SIGNED_IN_FUTURE",
        lambda: w.verify(proof, encode_file(_bound_by(w, w.holder, made_ms=w.now_ms + DAY_MS))),
    )
    yield (
        "a holder's binding where no key is named",
        MALFORMED,
        lambda: w.verify(w.proofs["single"], edited(w.shown_file, "binding", to=at(bound, "binding"))),
    )


def annotated_copies(w: ForgedWorld) -> Forgeries:
    """Annotated copies that were made out to others, or changed since their maker signed."""
    copy, proof = w.copy_file, w.proofs["bound"]
    late_ms = w.now_ms + 60 * DAY_MS

    def of_copy(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(copy, *path, to=to))

    for_others = bind_presentation(
        present(w.documents["bound"], ["坐落"]), w.holder, "示例银行", "办理抵押", w.as_of_ms, late_ms
    )
    yield "a copy for another", "ANOTHERS_COPY", lambda: w.verify(proof, copy, recipient="示例医院")
    yield "a copy's recipient exchanged", "MAKER_SIGNATURE_INVALID", of_copy("annotation", "recipient", to="示例医院")
    yield "a copy's reason exchanged", "MAKER_SIGNATURE_INVALID", of_copy("annotation", "JZJZZSY", to="办理贷款")
    yield "a copy's expiry put off", "MAKER_SIGNATURE_INVALID", of_copy("annotation", "JZJYXQJZSJ", to=late_ms)
    yield "a copy used after its expiry", "COPY_EXPIRED", lambda: w.verify(proof, copy, now_ms=w.now_ms + 20 * DAY_MS)
    yield (
        "a copy's time of making exchanged",
        "MAKER_SIGNATURE_INVALID",
        of_copy("annotation", "JZJZZSJ", to=w.as_of_ms + 1),
    )
    yield (
        "a copy in another department's name",
        "MAKER_SIGNATURE_INVALID",
        lambda: w.verify(w.proofs["single"], edited(w.free_copy_file, "annotation", "JZJZZZ", to="示范局")),
    )
    yield (
        "a copy made by an impostor",
        "SIGNER_NOT_TRUSTED",
        lambda: w.verify(w.proofs["single"], encode_file(w.annotate(w.shown, w.impostor))),
    )
    yield (
        "another copy's signature",
        "MAKER_SIGNATURE_INVALID",
        of_copy("signature", to=at(w.free_copy_file, "signature")),
    )
    yield (
        "another certificate under a copy's annotation",
        "MAKER_SIGNATURE_INVALID",
        lambda: w.verify(w.proofs["single"], edited(copy, "original", to=at(w.shown_file))),
    )
    yield (
        "a copy of what was shown to another",
        "ANOTHERS_COPY",
        lambda: w.verify(proof, encode_file(w.annotate(for_others))),
    )
    yield (
        "a copy made after the holder's term",
        "COPY_EXPIRED",
        lambda: w.verify(
            proof, encode_file(w.annotate(w.bound, made_ms=late_ms, expires_ms=late_ms + DAY_MS)), now_ms=late_ms
        ),
    )
    yield (
        "a field more than the copy was made with",
        "MAKER_SIGNATURE_INVALID",
        lambda: w.verify(
            w.proofs["single"], edited(w.free_copy_file, "original", "fields", to=lambda fields: fields[:1])
        ),
    )
    yield "a copy under another certificate's proof", "ANOTHER_CERTIFICATE", lambda: w.verify(w.proofs["single"], copy)


def _bound_by(w: ForgedWorld, signer: Signer, made_ms: int | None = None) -> Any:
    shown = present(w.documents["bound"], ["坐落"])
    key = msgspec.structs.replace(shown.core, holder_key=signer.public_key.hex())
    made = bind_presentation(
        msgspec.structs.replace(shown, core=key),
        signer,
        "使用局",
        "办理抵押",
        made_ms or w.as_of_ms,
        (made_ms or w.as_of_ms) + 10 * DAY_MS,
    )
    return msgspec.structs.replace(made, core=shown.core)


def files_at_hand(w: ForgedWorld) -> Forgeries:
    """Files that come with a document, and are not those of the certificate."""
    raw, shown, proof = w.files["single"], w.shown_file, w.proofs["single"]
    deed, plan = file_digest(PDF), file_digest(PLAN)

    yield (
        "another file under the name",
        "ATTACHMENT_CHANGED",
        lambda: w.verify(proof, raw, attachments={DEED: file_digest(PDF + b" ")}),
    )
    yield (
        "two files exchanged",
        "ATTACHMENT_CHANGED",
        lambda: w.verify(proof, raw, attachments={DEED: plan, PLAN_NAME: deed}),
    )
    yield (
        "a file that the certificate does not have",
        "ATTACHMENT_UNKNOWN",
        lambda: w.verify(proof, raw, attachments={"抵押合同.pdf": deed}),
    )
    yield (
        "a file that the presentation does not show",
        "ATTACHMENT_UNKNOWN",
        lambda: w.verify(proof, shown, attachments={PLAN_NAME: plan}),
    )
    yield (
        "an empty file under the name",
        "ATTACHMENT_CHANGED",
        lambda: w.verify(proof, raw, attachments={DEED: file_digest(b"")}),
    )


def attachments(w: ForgedWorld) -> Forgeries:
    """What a document says of its files: exchanged, renamed, left out, put in."""
    raw, shown, proof = w.files["single"], w.shown_file, w.proofs["single"]

    def files(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(raw, *path, to=to))

    yield "digests of two files exchanged", "ATTACHMENT_CHANGED", files("files", to=lambda found: found[::-1])
    yield "one bit of a file's digest", "ATTACHMENT_CHANGED", files("files", 0, "sm3", to=flip)
    yield "another size", "ATTACHMENT_CHANGED", files("files", 0, "size", to=lambda size: size + 1)
    yield "a negative size", MALFORMED, files("files", 0, "size", to=-1)
    yield "a file's digest left out", MALFORMED, files("files", to=lambda found: found[:1])
    yield "a file renamed", "DOCUMENT_CHANGED", files("core", "attachments", 0, "name", to="合同.pdf")
    yield (
        "a file's media type exchanged",
        "DOCUMENT_CHANGED",
        files("core", "attachments", 0, "media_type", to="text/html"),
    )
    yield (
        "a file taken out with its commitment",
        "DOCUMENT_CHANGED",
        lambda: w.verify(
            proof,
            edited(edited(raw, "files", to=lambda found: found[:1]), "core", "attachments", to=lambda found: found[:1]),
        ),
    )
    yield (
        "a file put in with a commitment",
        "DOCUMENT_CHANGED",
        lambda: w.verify(
            proof,
            edited(
                edited(raw, "files", to=lambda found: [*found, found[0]]),
                "core",
                "attachments",
                to=lambda found: [*found, found[0] | {"name": "合同.pdf"}],
            ),
        ),
    )
    yield (
        "a shown file's digest",
        "ATTACHMENT_CHANGED",
        lambda: w.verify(proof, edited(shown, "attachments", 0, "sm3", to=flip)),
    )
    yield (
        "a shown file put under the other's place",
        "ATTACHMENT_CHANGED",
        lambda: w.verify(proof, edited(shown, "attachments", 0, "position", to=1)),
    )
    yield (
        "a name that leads out of the folder",
        "DOCUMENT_CHANGED",
        files("core", "attachments", 0, "name", to="../产权证.pdf"),
    )
