"""Any document file: its digest as the ledger would have it, its kind, and what was and was not verified about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from verification.document_files.ofd import OfdReport, inspect_ofd
from verification.document_files.package import MAX_PACKAGE_BYTES, is_package
from verification.document_files.pdf import PdfReport, inspect_pdf, is_pdf
from verification.document_files.statements import Statement, unverified
from verification.errors import InputError

MAX_INSPECTED_BYTES: Final = MAX_PACKAGE_BYTES

Result: TypeAlias = Literal[
    "NO_SEAL", "BROKEN", "NOT_VERIFIED", "PARTS_NOT_COVERED", "SEALS_HOLD", "SEALS_HOLD_TRUSTED"
]
_RESULTS: Final[dict[Result, tuple[str, str]]] = {
    "NO_SEAL": ("没有签章", "there is no seal"),
    "BROKEN": ("有检查不成立，勿采信", "a check does not hold: do not rely on it"),
    "NOT_VERIFIED": (
        "有签章未能核验，不能说明其真伪",
        "a seal could not be verified: this tells neither genuine nor forged",
    ),
    "PARTS_NOT_COVERED": (
        "签章成立，但并非全部内容都在签章之下",
        "the seals hold, but not all of the content is under one",
    ),
    "SEALS_HOLD": (
        "签章成立，覆盖全部内容；签章者是否可信未核验",
        "the seals hold and cover all of the content; whether the signers are to be trusted was not verified",
    ),
    "SEALS_HOLD_TRUSTED": (
        "签章成立，覆盖全部内容，签章者与制章者的证书通向所给的信任证书",
        "the seals hold and cover all of the content; the certificates of signers and makers lead to the trusted ones",
    ),
}
_TRUSTED: Final = frozenset({"SIGNER_TRUSTED", "MAKER_TRUSTED"})


class DocumentReport(msgspec.Struct, frozen=True):
    """What a document file is and what holds of it; `ofd` or `pdf` has the details."""

    kind: Literal["ofd", "pdf"]
    size: int
    sm3: str
    """The SM3 of the whole file, in hex: what a certificate's record has as the digest of its file."""
    at_ms: int
    code: Result
    zh: str
    en: str
    not_verified: tuple[Statement, ...]
    """What is never verified of this kind of file."""
    ofd: OfdReport | None = None
    pdf: PdfReport | None = None

    @property
    def is_broken(self) -> bool:
        """Whether something was checked and is not so."""
        return self.code == "BROKEN"


def inspect_document(raw: bytes, at_ms: int, trusted: Sequence[Certificate] = ()) -> DocumentReport:
    """Return what an OFD or PDF file is and what holds of it at `at_ms`.

    `trusted` are certificates of roots, of authorities below them, or of signers; without any, trust is not judged. Raises
    InputError on another kind of file and on one that cannot be read within the limits.
    """
    if len(raw) > MAX_INSPECTED_BYTES:
        raise InputError(
            "FILE_TOO_LARGE",
            f"文件应不超过 {MAX_INSPECTED_BYTES} 字节，实为 {len(raw)}",
            f"expected a file of at most {MAX_INSPECTED_BYTES} bytes, found {len(raw)}",
        )
    if is_package(raw):
        ofd = inspect_ofd(raw, trusted, at_ms)
        code = _ofd_result(ofd)
        return DocumentReport(
            "ofd", len(raw), sm3(raw).hex(), at_ms, code, *_RESULTS[code], _never(is_ofd=True), ofd=ofd
        )
    if is_pdf(raw):
        pdf = inspect_pdf(raw)
        code = _pdf_result(pdf)
        return DocumentReport(
            "pdf", len(raw), sm3(raw).hex(), at_ms, code, *_RESULTS[code], _never(is_ofd=False), pdf=pdf
        )
    raise InputError("NOT_A_DOCUMENT", "应为 OFD 或 PDF 文件", "expected an OFD or a PDF file")


def _ofd_result(report: OfdReport) -> Result:
    statements = [*report.statements, *(one for seal in report.seals for one in seal.statements)]
    codes = {statement.code for statement in statements}
    if any(statement.state == "broken" for statement in statements):
        return "BROKEN"
    if not report.seals:
        return "NO_SEAL"
    if not all(seal.holds for seal in report.seals):
        return "NOT_VERIFIED"
    if "PARTS_NOT_COVERED" in codes:
        return "PARTS_NOT_COVERED"
    is_trusted = all({one.code for one in seal.statements} >= _TRUSTED for seal in report.seals)
    return "SEALS_HOLD_TRUSTED" if is_trusted else "SEALS_HOLD"


def _pdf_result(report: PdfReport) -> Result:
    if any(statement.state == "broken" for statement in report.statements):
        return "BROKEN"
    return "NOT_VERIFIED" if report.signatures else "NO_SEAL"


def _never(*, is_ofd: bool) -> tuple[Statement, ...]:
    common = (
        unverified(
            "LEDGER_NOT_ASKED",
            "未查询账本：文件的 SM3 是否在账本上、证照是否有效未核验",
            "the ledger was not asked: whether it has this SM3 and whether the certificate is in force was not verified",
        ),
        unverified(
            "LOOK_NOT_JUDGED",
            "未显示版面：看到的内容与印章图样是否一致未核验",
            "nothing was drawn: what a reader shows, and the picture of a seal, were not judged",
        ),
    )
    if not is_ofd:
        return common
    return (
        *common,
        unverified(
            "REVOCATION_NOT_CHECKED",
            "未查询证书与印章是否已被吊销",
            "whether certificates or seals were revoked was not asked",
        ),
        unverified(
            "SEALING_TIME_CLAIMED",
            "签章时间是签章者自称的时间",
            "the time of sealing is the signer's own word",
        ),
    )
