"""govnode document: look into OFD and PDF files, without any node."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Command, Group
from sdk.cli.options import FILE
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sm_crypto.x509 import Certificate
    from verification.document_files.inspection import DocumentReport
    from verification.document_files.statements import Statement

_MARKS: Final = {"held": "✓", "broken": "✗", "unverified": "-", "warning": "!"}


@click.group(cls=Group)
def document() -> None:
    """文件：查看 OFD 与 PDF 及其签章 / Files: look into OFD and PDF, and their seals."""


@document.command("inspect", cls=Command)
@click.argument("file", type=FILE)
@click.option(
    "--trusted",
    type=FILE,
    help="信任的证书（PEM，至多 4 张）；不给则不判断签章者是否可信 / Trusted certificates (PEM, at most 4); "
    "without them trust is not judged.",
)
@json_option
def inspect(file: Path, trusted: Path | None, as_json: bool) -> int:
    """查看文件 FILE 的摘要、部件与签章，不需要节点 / Show the digest, parts and seals of a file; no node is needed.

    有检查不成立时退出状态为 1；未核验的逐项说明 / Exit status 1 when a check does not hold; what was not verified is said.
    """
    import msgspec

    from sdk.documents import read_limited
    from verification.document_files.inspection import MAX_INSPECTED_BYTES, inspect_document

    certificates = [] if trusted is None else _certificates(trusted)
    report = inspect_document(read_limited(file, MAX_INSPECTED_BYTES), time.time_ns() // 1_000_000, certificates)
    show(msgspec.to_builtins(report), as_json, _text(report))
    return EXIT_REFUSED if report.is_broken else 0


def _certificates(path: Path) -> list[Certificate]:
    from sdk.documents import read_limited
    from sm_crypto.x509 import MAX_PEM_BYTES, CertificateError, load_certificates
    from verification.errors import InputError

    try:
        return load_certificates(read_limited(path, MAX_PEM_BYTES))
    except CertificateError as error:
        raise InputError(
            "CERTIFICATES_UNREADABLE",
            f"信任的证书无法读取：{error}",
            f"the trusted certificates cannot be read: {error}",
        ) from None


def _text(report: DocumentReport) -> str:
    from verification.document_files.statements import shown_time

    lines = [
        fields(
            [
                ("种类 / kind", report.kind.upper()),
                ("字节 / bytes", report.size),
                ("SM3", report.sm3),
                ("部件 / parts", len(report.ofd.parts) if report.ofd else None),
            ]
        )
    ]
    for found in report.ofd.documents if report.ofd else ():
        pages, attachments = len(found.pages), len(found.attachments)
        lines.append(
            shown_line(
                f"文档 / document {found.root} {found.title}: 页 / pages {pages}, 附件 / attachments {attachments}"
            )
        )
    for seal in report.ofd.seals if report.ofd else ():
        sealed = "?" if seal.sealed_ms is None else shown_time(seal.sealed_ms)
        lines += [
            "",
            shown_line(
                f"签章 / seal {seal.identifier}: {seal.seal_name or '?'}, 签章者 / signer {seal.signer or '?'}, {sealed}"
            ),
            *map(_line, seal.statements),
        ]
    detail = report.ofd or report.pdf
    lines += ["", *map(_line, detail.statements if detail else ()), *map(_line, report.not_verified)]
    lines += ["", fields([("结论 / result", f"[{report.code}] {report.zh} / {report.en}")])]
    return "\n".join(lines)


def _line(statement: Statement) -> str:
    return shown_line(f"{_MARKS[statement.state]} [{statement.code}] {statement.zh} / {statement.en}")
