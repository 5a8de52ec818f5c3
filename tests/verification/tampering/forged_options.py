"""Forgeries that only an option of the verifier shows: every option counts on every path, and none is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sdk.code_verification import PhotoQuestion, verify_certificate_file
from sdk.trust import save_trust
from tests.hand_made_chain import CONSUMER, DOCUMENT
from tests.verification.tampering.forged_world import DAY_MS, DEED, PDF, PLAN_NAME, ForgedWorld, Forgeries
from verification.certificate_files.document import file_digest

HOUR_MS = 3_600_000


def with_options(
    w: ForgedWorld, raw: bytes, listed: bytes | None = None, attached: dict[str, bytes] | None = None, **known: Any
) -> Any:
    """Return the verdict on a certificate's file without a node: by its signatures, and by a status list where one is given."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "file.json").write_bytes(raw)
        save_trust(folder / "trust.json", w.trust)
        if listed is not None:
            (folder / "list.json").write_bytes(listed)
            known["status_list"] = folder / "list.json"
        for number, (called, content) in enumerate((attached or {}).items()):
            (folder / str(number)).write_bytes(content)
            known["attachments"] = (*known.get("attachments", ()), Path(f"{called}={folder / str(number)}"))
        if "root_pem" in known:
            (folder / "root.pem").write_text(known.pop("root_pem"))
            known["root"] = folder / "root.pem"
        question = PhotoQuestion(w.now_ms, folder / "trust.json", **known)
        return verify_certificate_file(folder / "file.json", None, question)


def options(w: ForgedWorld) -> Forgeries:
    """What an option asks for and the file does not hold, with a status list and without one."""
    shown_to_others = {"a presentation": w.bound_file, "a copy": w.copy_file}

    def of(raw: bytes, listed: bytes | None = None, **known: Any) -> Callable[[], Any]:
        return lambda: with_options(w, raw, listed, **known)

    single, member = w.files["single"], w.member_file
    for name, raw, listed in (
        ("a document alone", single, None),
        ("a document with a status list", single, w.list_now),
        ("a document of a batch with its list", member, w.batch_list),
    ):
        yield f"{name}: another file attached", "ATTACHMENT_CHANGED", of(raw, listed, attached={DEED: PDF + b" "})
        yield f"{name}: a file that it has not", "ATTACHMENT_UNKNOWN", of(raw, listed, attached={"抵押合同.pdf": PDF})
        impostor = w.impostor_root.pem
        yield f"{name}: under another root", "SIGNER_NOT_TRUSTED", of(raw, listed, root_pem=impostor)
    for name, raw in shown_to_others.items():
        yield f"{name} for another, alone", "ANOTHERS_COPY", of(raw, recipient="示例医院")
        yield f"{name} for another, with a status list", "ANOTHERS_COPY", of(raw, w.list_now, recipient="示例医院")
    yield (
        "a presentation with a status list: a file that it does not show",
        "ATTACHMENT_UNKNOWN",
        of(w.shown_file, w.list_now, attached={PLAN_NAME: PDF}),
    )
    for name, raw, listed in (
        ("a status list", single, w.list_now),
        ("an old status list", single, w.list_before),
        ("a batch's list", member, w.batch_list),
    ):
        yield f"{name} of longer ago than is taken", "PROOF_TOO_OLD", of(raw, listed, max_age_ms=HOUR_MS)
    yield "a document alone, which has no age", "PROOF_NEEDED", of(single, max_age_ms=30 * DAY_MS)
    yield "a document alone, which has no history", "PROOF_NEEDED", of(single, day="2026-05-29")
    yield (
        "a status list that the named department did not sign",
        "STATUS_LIST_NOT_VOUCHED",
        of(single, w.list_now, list_departments=(CONSUMER,)),
    )
    yield "another document beside a certificate's file", "DOCUMENT_NOT_ASKED", of(single, document=Path("other.json"))
    yield (
        "a scan that names no attachments, with one",
        "ATTACHMENT_UNKNOWN",
        lambda: w.verify(w.prove_identifier(w.chain_identifier), DOCUMENT, attachments={DEED: file_digest(PDF)}),
    )
