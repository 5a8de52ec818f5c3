"""govnode cert batch: issue the certificates of a file at once; govnode cert archive: what became of them."""

from __future__ import annotations

import codecs
import csv
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from sdk.cli.bilingual import Command, Group
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_secret_owner,
    key_options,
    open_client,
    open_signer,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import EXIT_REFUSED, fields, json_option, say, show, show_progress
from sdk.cli.row_faults import count_of, fault_lines
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.certificate_batches.rows import BatchHead
    from sdk.client import Client
    from sdk.tables.lines import RowFault

F = TypeVar("F", bound=Callable[..., Any])
MAX_SHOWN_FAULTS: Final = 50
MAX_CHAIN_FILE_BYTES: Final = 1 << 20
EXIT_READY: Final = 3
"""Nothing is wrong with the batch, and it is not issued: nobody said yes."""
_STEPS: Final = {
    "load": "检查 / checking",
    "draft": "制证 / making",
    "tree": "汇总 / hashing",
    "renew": "延续 / renewing",
}
_archive_argument = click.argument("archive", type=FILE)


class FaultReport(NamedTuple):
    """What is wrong with the rows of a file: where all of it is written, how many rows, how often each code, and the first faults."""

    path: Path
    rows: int
    codes: dict[str, int]
    first: list[RowFault]


def _secret_option(command: F) -> F:
    return click.option(
        "--holder-secret",
        type=FILE,
        envvar=HOLDER_SECRET_VARIABLE,
        show_envvar=True,
        required=True,
        help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
    )(command)


@click.command("batch", cls=Command)
@click.argument("file", type=FILE)
@click.option("--type", "type_code", required=True, help="证照类型代码 / Code of the certificates' type.")
@click.option(
    "--archive", type=FILE, help="批次档案；不给为 FILE.govbatch / Archive of the batch; FILE.govbatch when absent."
)
@click.option(
    "--issued-on",
    help="未写明者的颁发日期 YYYY-MM-DD；不给为今天 / Day of issue of rows without one; today when absent.",
)
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签发人证书与部门证书（PEM）/ Certificates of the key's owner and the department, PEM.",
)
@click.option(
    "--report", type=FILE, help="错误清单 CSV；不给为 FILE.faults.csv / CSV of all faults; FILE.faults.csv when absent."
)
@click.option("--accept", is_flag=True, help="检查无误即颁发，不再询问 / Issue without asking when no row has a fault.")
@click.option(
    "--anew",
    is_flag=True,
    help="删去准备好而没有颁发的同名档案，重新制作 / Delete the archive of this name that was prepared and never issued, and begin anew.",
)
@_secret_option
@url_option
@key_options
@json_option
def batch(
    file: Path,
    type_code: str,
    archive: Path | None,
    issued_on: str | None,
    chain: Path,
    report: Path | None,
    accept: bool,
    anew: bool,
    holder_secret: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """整批颁发 .csv 或 .xlsx 中的证照；中断后以同样的命令继续 / Issue the certificates of a .csv or .xlsx at once; run again to resume.

    先检查每一行并列出全部错误；有一处错误即不颁发 / Every row is checked first and every fault listed; with a fault nothing is
    issued. 退出状态：0 已颁发，1 有错误，3 已就绪而未颁发 / Exit status: 0 issued, 1 faults, 3 ready and not issued.
    """
    from sdk.certificate_batches.archive import Stage
    from sdk.certificate_batches.issuing import check_name_free, discard_unissued, issue_batch, load_head
    from sdk.client import Client

    secret = read_holder_secret(holder_secret)
    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        head = load_head(client, type_code, _day_of_issue(issued_on))
        check_secret_owner(holder_secret, head.issuer_code)
        kept = archive or file.with_name(file.name + ".govbatch")
        if anew:
            discard_unissued(client, kept)
        with _open(kept, file, head, secret) as opened:
            _check_day_of_issue(opened, issued_on)
            is_resumed = opened.stage > Stage.LOADING
            faults = _prepare(client, opened, file, report, secret, _load_chain(chain), signer)
            if faults is not None:
                return _show_faults(faults, as_json)
            check_name_free(client, opened)
            if not (accept or _ask(opened, as_json)):
                _show_batch(
                    opened, as_json, "已就绪，未颁发；加 --accept 再次运行即颁发 / ready, not issued; add --accept"
                )
                return EXIT_READY
            issue_batch(client, opened, is_resumed=is_resumed)
            _show_batch(opened, as_json, "已颁发 / issued")
    return 0


@click.group("archive", cls=Group)
def archive_group() -> None:
    """批次档案 / Archives of batches."""


@archive_group.command("show")
@_archive_argument
@click.argument("identifier", required=False)
@json_option
def show_archive(archive: Path, identifier: str | None, as_json: bool) -> None:
    """显示一批，或其中一份 / Show a batch, or one certificate of it."""
    from sdk.certificate_batches.archive import BatchArchive, Stage

    with BatchArchive(archive) as opened:
        if identifier is None:
            _show_batch(opened, as_json, "已颁发 / issued" if opened.stage == Stage.ISSUED else "未颁发 / not issued")
            return
        name = _canonical(identifier)
        row = opened.row(name)
        position = opened.position(name)
        content = opened.content(position)
    shown: list[tuple[str, object]] = [
        ("证照标识 / identifier", row.identifier),
        ("位置 / position", position),
        ("行 / line", row.line),
        ("文件 SM3 / document SM3", content.document_digest.hex()),
        ("有效期 / validity", f"{row.valid_from} ~ {row.valid_to}"),
    ]
    result = {
        "identifier": row.identifier,
        "position": position,
        "line": row.line,
        "document_digest": content.document_digest.hex(),
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
    }
    show(result, as_json, fields(shown))


@archive_group.command("export")
@_archive_argument
@click.argument("identifier")
@click.option("--out", type=FILE, required=True, help="写入的文件 / File to write.")
@_secret_option
@json_option
def export(archive: Path, identifier: str, out: Path, holder_secret: Path, as_json: bool) -> None:
    """取出一份证照文件，含签名与路径 / Write one certificate's document, with signature and path."""
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.certificate_batches.documents import document_of
    from sdk.documents import write_private
    from verification.certificate_files.document import encode_file

    with BatchArchive(archive) as opened:
        document = document_of(opened, identifier, read_holder_secret(holder_secret))
    write_private(out, encode_file(document))
    attached = [one.name for one in document.core.attachments]
    lines = [f"{document.core.identifier} → {out}"]
    if attached:
        lines.append(f"连同附件交给持证人 / hand over with it: {', '.join(attached)}")
    result = {"identifier": document.core.identifier, "file": str(out), "attachments": attached}
    show(result, as_json, "\n".join(lines))


@archive_group.command("manifest")
@_archive_argument
@click.option("--out", type=FILE, required=True, help="写入的文件 / File to write.")
@json_option
def export_manifest(archive: Path, out: Path, as_json: bool) -> None:
    """写出清单，供他人保存；其中没有个人信息 / Write the manifest, for others to keep; nothing in it is personal."""
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.documents import private_file

    with BatchArchive(archive) as opened:
        tree = opened.tree
        with private_file(out) as file:
            file.writelines(opened.encoded_contents())
    result = {"batch": tree.name, "count": tree.count, "manifest_digest": tree.manifest_digest.hex(), "file": str(out)}
    show(result, as_json, f"{tree.name}（{tree.count}） → {out}")


@archive_group.command("renew")
@_archive_argument
@click.option("--reason", required=True, help="延续的原因，记入账本 / Why; it goes on the ledger.")
@click.option(
    "--predecessors",
    type=FILE,
    help="前证所属批次的档案 / Archive of the batch that the predecessors are of.",
)
@url_option
@key_options
@json_option
def renew(
    archive: Path,
    reason: str,
    predecessors: Path | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """以已颁发批次中的证照接替各行 predecessor 所列的前证；中断后可再次运行 / Renew what the rows name as predecessors.

    整批颁发不改变前证的状态，由本命令逐一延续 / Issuing a batch leaves the predecessors as they are; this renews each of them.
    """
    from contextlib import nullcontext

    from sdk.certificate_batches.archive import BatchArchive
    from sdk.certificate_batches.succession import renew_by_members

    done, failed = 0, []
    earlier = nullcontext() if predecessors is None else BatchArchive(predecessors)
    with open_client(url, key, password_file) as client, BatchArchive(archive) as opened, earlier as kept:
        for outcome in renew_by_members(client, opened, reason, kept):
            if outcome.error is None:
                done += 1
            else:
                failed.append(outcome)
            _show_progress("renew", done + len(failed), 0)
    lines = [f"✗ {one.identifier}  [{one.error.code}] {one.error}" for one in failed[:MAX_SHOWN_FAULTS] if one.error]
    lines.append(f"已延续 / renewed {done}, 未完成 / not done {len(failed)}")
    shown = [{"identifier": one.identifier, "code": one.error.code} for one in failed if one.error]
    show({"done": done, "failed": len(failed), "errors": shown[:MAX_SHOWN_FAULTS]}, as_json, "\n".join(lines))
    return EXIT_REFUSED if failed else 0


def _open(path: Path, table: Path, head: BatchHead, secret: bytes) -> BatchArchive:
    from sdk.certificate_batches.preparation import open_archive

    return open_archive(path, table, head, secret)


def _prepare(
    client: Client,
    archive: BatchArchive,
    table: Path,
    report: Path | None,
    secret: bytes,
    chain: Sequence[Any],
    signer: Any,
) -> FaultReport | None:
    """Bring a batch to its signature and return None; or what is wrong with its rows."""
    from functools import partial

    from sdk.certificate_batches.archive import Stage
    from sdk.certificate_batches.issuing import check_serials_free, known_outside_batches
    from sdk.certificate_batches.preparation import BatchPreparation
    from verification.certificate_files.seals import check_signer

    check_signer(signer, chain)
    preparation = BatchPreparation(archive, secret, _show_progress)
    is_new = archive.stage == Stage.LOADING
    try:
        found = preparation.load(table, partial(known_outside_batches, client))
        if is_new and not found:
            check_serials_free(client, archive)
    except InputError:
        archive.remove()
        raise
    if found:
        written = _write_report(report or table.with_name(table.name + ".faults.csv"), archive)
        archive.remove()
        return written
    preparation.draft()
    preparation.build_tree()
    preparation.sign(signer, chain, time.time_ns() // 1_000_000)
    return None


def _show_progress(step: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        show_progress(f"{_STEPS[step]} {done}{f' / {total}' if total else ''}")
        if done == total:
            say("", err=True)


def _ask(archive: BatchArchive, as_json: bool) -> bool:
    from sdk.certificate_batches.archive import Stage

    if archive.stage == Stage.ISSUED:
        return True
    if as_json or not sys.stdin.isatty():
        return False
    _show_batch(archive, False, "就绪 / ready")
    return click.confirm("颁发这一批？/ Issue this batch?", default=False)


def _show_batch(archive: BatchArchive, as_json: bool, state: str) -> None:
    from sdk.certificate_batches.archive import Stage
    from verification.days import show_time

    head, stage, tree = archive.head, archive.stage, archive.tree
    issued = archive.issued if stage == Stage.ISSUED else None
    result = {
        "batch": tree.name,
        "archive": str(archive.path),
        "stage": stage.name.lower(),
        "count": tree.count,
        "first": tree.first,
        "last": tree.last,
        "root": tree.root.hex(),
        "manifest_digest": tree.manifest_digest.hex(),
        "issued_ms": None if issued is None else issued.time_ms,
        "height": issued.height if issued and issued.height else None,
        "transaction": "0x" + issued.transaction_id.hex() if issued and issued.transaction_id else None,
    }
    text = fields(
        [
            ("批次 / batch", tree.name),
            ("类型 / type", f"{head.type_name} {head.type_code}"),
            ("颁发机构 / issuer", f"{head.issuer_name} {head.issuer_code}"),
            ("份数 / certificates", tree.count),
            ("流水号 / serials", f"{tree.first} ~ {tree.last}"),
            ("根 / root", tree.root.hex()),
            ("清单 SM3 / manifest SM3", tree.manifest_digest.hex()),
            ("档案 / archive", archive.path),
            ("颁发时间 / issued", None if issued is None else show_time(issued.time_ms)),
            ("区块 / block", result["height"]),
            ("状态 / state", state),
        ]
    )
    show(result, as_json, text)


def _show_faults(report: FaultReport, as_json: bool) -> int:
    import msgspec

    lines = fault_lines(report.first)
    kinds = ", ".join(f"{code} {count}" for code, count in sorted(report.codes.items()))
    total = sum(report.codes.values())
    lines += [
        f"{report.rows} 行共 {total} 处错误，未颁发 / {count_of(total, 'fault')} in {count_of(report.rows, 'row')}, nothing is issued",
        f"其中 / of these: {kinds}",
        f"全部见 / all of them: {report.path}",
    ]
    result = {
        "faults": total,
        "rows": report.rows,
        "codes": report.codes,
        "report": str(report.path),
        "first": msgspec.to_builtins(report.first),
    }
    show(result, as_json, "\n".join(lines))
    return EXIT_REFUSED


def _write_report(path: Path, archive: BatchArchive) -> FaultReport:
    """Write every fault as a line of a CSV that spreadsheets read as UTF-8, and return what a clerk is told of them."""
    from sdk.documents import private_file

    first: list[RowFault] = []
    codes: Counter[str] = Counter()
    rows, last = 0, 0
    with private_file(path) as file:
        writer = csv.writer(codecs.getwriter("utf-8-sig")(file))
        writer.writerow(("line", "column", "code", "found", "zh", "en"))
        for fault in archive.faults():
            # What begins with one of these a spreadsheet takes for a formula.
            found = "'" + fault.found if fault.found[:1] in {"=", "+", "-", "@"} else fault.found
            writer.writerow((fault.line, fault.column, fault.code, found, fault.zh, fault.en))
            codes[fault.code] += 1
            # They come in the order of lines.
            rows, last = rows + (fault.line != last), fault.line
            if len(first) < MAX_SHOWN_FAULTS:
                first.append(fault)
    return FaultReport(path, rows, dict(codes), first)


def _load_chain(path: Path) -> list[Any]:
    from sdk.documents import read_limited
    from sm_crypto.x509 import CertificateError, load_certificates

    try:
        return load_certificates(read_limited(path, MAX_CHAIN_FILE_BYTES))
    except CertificateError as error:
        raise InputError(
            "CHAIN_INVALID", f"{path} 不是 PEM 证书链：{error}", f"{path} is no chain of PEM certificates: {error}"
        ) from None


def _day_of_issue(text: str | None) -> str:
    from sdk.cli.options import day_start
    from verification.days import show_time

    if text is None:
        return show_time(time.time_ns() // 1_000_000)[:10]
    day_start("--issued-on", text)
    return text


def _check_day_of_issue(archive: BatchArchive, issued_on: str | None) -> None:
    """Return unless an archive that was begun has another day of issue than the one asked for: its documents are dated already."""
    kept = archive.head.issued_on
    if issued_on is not None and issued_on != kept:
        raise InputError(
            "ISSUED_ON_DIFFERS",
            f"{archive.path} 已按颁发日期 {kept} 制作，不是 {issued_on}：请去掉 --issued-on 继续，或删去该档案重新制作",
            f"{archive.path} was begun with the day of issue {kept}, not {issued_on}: go on without --issued-on, "
            "or remove it and begin anew",
        )


def _canonical(identifier: str) -> str:
    from contracts.identifiers import parse_identifier
    from contracts.refusals import Refused

    try:
        return parse_identifier(identifier).text
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None
