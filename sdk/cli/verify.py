"""govnode verify: check a proof file offline, without any node."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any, Final, Literal

import click
import msgspec

from explorer.code_reading_process import file_kind
from node.http.proof_file import FORMAT as PROOF_FORMAT
from node.http.proof_file import MAX_PROOF_FILE_BYTES
from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, URL_VARIABLE
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show
from sdk.cli.status_list import list_trust_options
from sdk.proofs import verify_proof_file
from sm_crypto.sm2 import engine_report
from verification.proof_verdicts import BATCH_PROOF_FORMAT
from verification.proofs import Verdict

TRUST_VARIABLE: Final = "GOVNODE_TRUST"
MAX_AGE_HOURS: Final = 24 * 366 * 100
MARKS: Final = {"held": "✓", "broken": "✗", "not-reached": "·", "not-asked": "-"}


class _Format(msgspec.Struct):
    format: str = ""


class _VerifyCommand(Command):
    """Takes a proof file; `verify list` is a command of its own, and a proof file of that name is `./list`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of whichever command the first word names."""
        if args[:1] == ["list"]:
            from sdk.cli.verify_list import verify_list

            return verify_list.make_context(f"{info_name} list", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_VerifyCommand)
@click.argument("proof", type=FILE)
@click.option("--document", type=FILE, help="证照文件本身 / The document itself.")
@click.option(
    "--trust",
    type=FILE,
    envvar=TRUST_VARIABLE,
    show_envvar=True,
    default=Path("trust.json"),
    show_default=True,
    help="信任文件 / The trust file.",
)
@click.option(
    "--root", type=FILE, help="根证书（PEM），核验加注件的加注机构 / Root certificates (PEM): who made a copy."
)
@click.option("--recipient", help="出示件或加注件应给谁 / Who a presentation or copy should be made out to.")
@click.option(
    "--attachment",
    "attachments",
    type=FILE,
    multiple=True,
    help="证照的附件，可多次给出；文件名不是附件名时写 附件名=文件 / "
    "A file attached to the certificate; repeatable; NAME=FILE where the file is not called as the document calls it.",
)
@click.option(
    "--status-list",
    type=FILE,
    help="状态清单，说明证明之后有无变更 / A status list: what became of it since the proof.",
)
@list_trust_options
@click.option(
    "--max-age",
    "max_age_hours",
    type=click.IntRange(1, MAX_AGE_HOURS),
    metavar="HOURS",
    help="证明至多多少小时之前 / How many hours ago the proof's block may have been made, at most.",
)
@click.option(
    "--url",
    envvar=URL_VARIABLE,
    show_envvar=True,
    help="给出证明的节点，用于照片与无证明的证照文件；不给则离线 / "
    "The node that gives the proof, for a photo or a certificate's file; offline when absent.",
)
@json_option
def verify(
    proof: Path,
    document: Path | None,
    trust: Path,
    root: Path | None,
    recipient: str | None,
    attachments: tuple[Path, ...],
    status_list: Path | None,
    departments: tuple[str, ...],
    max_age_hours: int | None,
    url: str | None,
    as_json: bool,
) -> int:
    """核验证明文件 PROOF（离线）、二维码的照片或证照文件 / Verify a proof offline, the photo of a code, or a certificate's file.

    照片（PNG、JPEG、WebP、PDF）中的码、无证明的证照文件，由 --url 所指节点给出证明；离线则核对签名，加 --status-list 核对状态 /
    For the code in a photo (PNG, JPEG, WebP, PDF), or a certificate's file without a proof, the node at --url gives the proof;
    offline the signatures are verified, with --status-list the status.

    全部成立则退出状态为 0，否则为 1；批量核验见 govnode verify list --help / Exit status 0 when everything holds, else 1;
    for many at once see govnode verify list --help.
    """
    max_age_ms = None if max_age_hours is None else max_age_hours * 3_600_000
    kind = _kind_of(proof)
    if kind != "proof":
        from sdk.cli.verify_photo import show_file_verdict, show_photo_verdict
        from sdk.code_verification import PhotoQuestion

        now_ms = time.time_ns() // 1_000_000
        question = PhotoQuestion(
            now_ms, trust, document, root, recipient, attachments, status_list, departments, max_age_ms
        )
        show_verdict = show_photo_verdict if kind == "photo" else show_file_verdict
        return show_verdict(proof, url, question, as_json)
    if document is None and (recipient or attachments):
        raise click.UsageError(
            "--recipient、--attachment 须与 --document 一起给出 / --recipient and --attachment go with --document"
        )
    if document is None and status_list is None and root:
        raise click.UsageError(
            "--root 须与 --document 或 --status-list 一起给出 / --root goes with --document or --status-list"
        )
    if departments and status_list is None:
        raise click.UsageError("--list-from 须与 --status-list 一起给出 / --list-from goes with --status-list")
    # What is timed is the work on this proof: modules and the SM2 engine with its self-test are loaded before.
    importlib.import_module("contracts.certificate_records")
    if status_list is not None:
        importlib.import_module("sdk.status_lists")
    engine_report()
    started_ns = time.perf_counter_ns()
    verdict = verify_proof_file(
        proof,
        document,
        trust,
        root=root,
        recipient=recipient,
        attachments=attachments,
        status_list=status_list,
        list_departments=departments,
        max_age_ms=max_age_ms,
    )
    elapsed_ms = round((time.perf_counter_ns() - started_ns) / 1e6, 2)
    show(msgspec.to_builtins(verdict) | {"elapsed_ms": elapsed_ms}, as_json, verdict_text(verdict, elapsed_ms))
    return 0 if verdict.is_accepted else EXIT_REFUSED


def _kind_of(path: Path) -> Literal["photo", "certificate-file", "proof"]:
    """Return what a file says it is; anything else, and one that cannot be read, is for whoever reads proofs to report."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PROOF_FILE_BYTES)
    except OSError:
        return "proof"
    if file_kind(raw[:16]) is not None:
        return "photo"
    try:
        named = msgspec.json.decode(raw, type=_Format).format
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "proof"
    if named in {PROOF_FORMAT, BATCH_PROOF_FORMAT}:
        return "proof"
    from verification.certificate_files.file_verification import certificate_file_kind

    return "proof" if certificate_file_kind(raw) is None else "certificate-file"


def verdict_text(verdict: Verdict, elapsed_ms: float) -> str:
    """Return a verdict on a proof in words, a line a step."""
    lines = [f"{MARKS[step.state]} {step.code:<14} {step.zh} / {step.en}" for step in verdict.steps]
    result = "通过 / accepted" if verdict.is_accepted else "不通过 / refused"
    if verdict.document is not None and verdict.document["values"] is not None:
        hidden = "、".join(verdict.document["hidden"])
        lines += ["", fields([*verdict.document["values"].items(), ("未出示 / hidden", hidden or None)])]
    identifier = verdict.record.get("identifier") if isinstance(verdict.record, dict) else None
    lines += [
        "",
        fields(
            [
                ("记录 / record", identifier or verdict.kind),
                ("结论 / verdict", f"{result} [{verdict.code}]"),
                ("", verdict.zh),
                ("", verdict.en),
                ("用时 / took", f"{elapsed_ms} ms"),
            ]
        ),
    ]
    return "\n".join(lines)
