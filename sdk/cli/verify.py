"""govnode verify: check a proof file offline, without any node."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import click
import msgspec

from explorer.code_reading_process import file_kind
from node.http.proof_file import FORMAT as PROOF_FORMAT
from node.http.proof_file import MAX_PROOF_FILE_BYTES
from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, URL_VARIABLE, day_start
from sdk.cli.output import EXIT_REFUSED, json_option, show
from sdk.cli.status_list import list_trust_options
from sdk.cli.verdict_lines import verdict_text
from sdk.proofs import verify_proof_file
from sm_crypto.sm2 import engine_report
from verification.errors import InputError
from verification.proof_verdicts import BATCH_PROOF_FORMAT

if TYPE_CHECKING:
    from verification.deposits import DepositLink

TRUST_VARIABLE: Final = "GOVNODE_TRUST"
MAX_LINK_FILE_BYTES: Final = 400
MAX_AGE_HOURS: Final = 24 * 366 * 100


_Kind: TypeAlias = Literal["photo", "certificate-file", "proof", "batch-proof", "trace"]


_TRACE_START: Final = b"govnode-access-trace/"
"""How a trace of access records begins, whose reader is not needed for anything else."""


class _Format(msgspec.Struct):
    format: str = ""


class _Asked(NamedTuple):
    """What comes with the file, in the names and order of verify_proof_file and of PhotoQuestion."""

    document: Path | None
    root: Path | None
    recipient: str | None
    attachments: tuple[Path, ...]
    status_list: Path | None
    list_departments: tuple[str, ...]
    max_age_ms: int | None
    day: str | None


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
@click.argument("proof", type=click.Path(dir_okay=False))
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
    "--at",
    "day",
    metavar="YYYY-MM-DD",
    help="该日（中国时间）是否有效，据证明中的历史 / Whether it was in force on that day, China time, by the history in the proof.",
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
    proof: str,
    document: Path | None,
    trust: Path,
    root: Path | None,
    recipient: str | None,
    attachments: tuple[Path, ...],
    status_list: Path | None,
    departments: tuple[str, ...],
    max_age_hours: int | None,
    day: str | None,
    url: str | None,
    as_json: bool,
) -> int:
    """核验证明文件 PROOF（离线）、二维码的照片、证照文件或寄存链接 / Verify a proof, a code's photo, a certificate's file or a link.

    照片（PNG、JPEG、WebP、PDF）中的码、无证明的证照文件，由 --url 所指节点给出证明；离线则核对签名，加 --status-list 核对状态 /
    For the code in a photo (PNG, JPEG, WebP, PDF), or a certificate's file without a proof, the node at --url gives the proof;
    offline the signatures are verified, with --status-list the status.

    寄存链接（…/P/…#…，或只含链接的文件）的内容由 --url 所指节点取得，在本机解开 / What a deposit's link (.../P/...#..., or a file that
    holds one) leads to is fetched from the node at --url and opened here.

    退出状态：0 通过，1 不通过，3 真实而效力未核对（离线、无证明、无状态清单）；批量核验见 govnode verify list --help /
    Exit status: 0 accepted, 1 refused, 3 genuine and force not checked (offline, without a proof or a status list); for many at once
    see govnode verify list --help.
    """
    if day is not None:
        day_start("--at", day)
        if status_list is not None:
            raise click.UsageError(
                "--at 问的是过去的一天，--status-list 说的是现在，二者选一 / "
                "--at is about a day in the past, --status-list about now: give one of the two"
            )
    if departments and status_list is None:
        raise click.UsageError("--list-from 须与 --status-list 一起给出 / --list-from goes with --status-list")
    asked = _Asked(
        document,
        root,
        recipient,
        attachments,
        status_list,
        departments,
        None if max_age_hours is None else max_age_hours * 3_600_000,
        day,
    )
    file = Path(proof)
    link = _deposit_link(proof)
    kind = _kind_of(file)
    if kind == "trace":
        from sdk.cli.audit_trace import show_trace_verdict

        return show_trace_verdict(file, trust, as_json)
    if link is None and kind in ("proof", "batch-proof"):
        return _show_proof_verdict(file, kind, trust, asked, as_json)
    from sdk.cli.verify_photo import show_deposit_verdict, show_file_verdict, show_photo_verdict
    from sdk.code_verification import PhotoQuestion

    question = PhotoQuestion(time.time_ns() // 1_000_000, trust, *asked)
    if link is not None:
        return show_deposit_verdict(link, url, question, as_json)
    show_verdict = show_photo_verdict if kind == "photo" else show_file_verdict
    return show_verdict(file, url, question, as_json)


def _show_proof_verdict(proof: Path, kind: _Kind, trust: Path, asked: _Asked, as_json: bool) -> int:
    """Print the verdict on a proof file; return the exit status."""
    if asked.document is None and (asked.recipient or asked.attachments):
        raise click.UsageError(
            "--recipient、--attachment 须与 --document 一起给出 / --recipient and --attachment go with --document"
        )
    if asked.document is None and asked.status_list is None and asked.root:
        raise click.UsageError(
            "--root 须与 --document 或 --status-list 一起给出 / --root goes with --document or --status-list"
        )
    # What is timed is the work on this proof: modules and the SM2 engine with its self-test are loaded before.
    needed = {
        "contracts.certificate_records": True,
        "verification.batch_proof": kind == "batch-proof",
        "verification.certificate_files.file_verification": asked.document is not None,
        "sdk.status_lists": asked.status_list is not None,
        "verification.proved_days": asked.day is not None,
    }
    for name in (name for name, is_needed in needed.items() if is_needed):
        importlib.import_module(name)
    engine_report()
    started_ns = time.perf_counter_ns()
    verdict = verify_proof_file(proof, trust=trust, **asked._asdict())
    elapsed_ms = round((time.perf_counter_ns() - started_ns) / 1e6, 2)
    show(msgspec.to_builtins(verdict) | {"elapsed_ms": elapsed_ms}, as_json, verdict_text(verdict, elapsed_ms))
    return 0 if verdict.is_accepted else EXIT_REFUSED


def _deposit_link(source: str) -> DepositLink | None:
    """Return the link to a deposit that was given, or that is all that a file holds; None where there is none of either."""
    text = source
    if "://" not in source:
        try:
            with Path(source).open("rb") as file:
                text = file.read(MAX_LINK_FILE_BYTES + 1).decode("ascii", "replace").strip()
        except OSError:
            return None
    if "://" not in text or text.startswith("{") or len(text) > MAX_LINK_FILE_BYTES:
        return None
    from verification.deposits import read_deposit_link

    link = read_deposit_link(text)
    if link is None and "://" in source:
        raise InputError(
            "LINK_UNKNOWN",
            "不是寄存链接：应为 https://…/P/寄存编号#密钥；证照链接请以照片核验，或用 govnode cert show 查其标识",
            "expected the link of a deposit, https://.../P/ID#KEY; of a certificate's link verify the photo, or look its identifier up "
            "with govnode cert show",
        )
    return link


def _kind_of(path: Path) -> _Kind:
    """Return what a file says it is; anything else, and one that cannot be read, is for whoever reads proofs to report."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PROOF_FILE_BYTES)
    except OSError:
        return "proof"
    if file_kind(raw[:16]) is not None:
        return "photo"
    if raw.startswith(_TRACE_START):
        return "trace"
    try:
        named = msgspec.json.decode(raw, type=_Format).format
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "proof"
    if named in {PROOF_FORMAT, BATCH_PROOF_FORMAT}:
        return "proof" if named == PROOF_FORMAT else "batch-proof"
    from verification.certificate_files.file_verification import certificate_file_kind

    return "proof" if certificate_file_kind(raw) is None else "certificate-file"
