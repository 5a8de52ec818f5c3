"""govnode verify list: many certificates at once, by asking a node or from a folder of files; the report as CSV and PDF."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, day_start, open_client, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, table
from sdk.cli.status_list import list_trust_options
from verification.days import show_time
from verification.listed import ListedVerdict, ListReport

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.freshness import TrustedList
    from verification.listed import Listed

MAX_SHOWN_ROWS: Final = 20


@click.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@url_option
@click.option("--on", "day", help="查这一天（北京时间）的状态 / The status on this day of China, YYYY-MM-DD.")
@click.option(
    "--trust",
    type=FILE,
    envvar="GOVNODE_TRUST",
    show_envvar=True,
    default=Path("trust.json"),
    show_default=True,
    help="信任文件，核验文件夹或 --fetch 时用 / The trust file, for a folder or --fetch.",
)
@click.option("--root", type=FILE, help="根证书（PEM），核验文件夹时用 / Root certificates (PEM), for a folder.")
@click.option(
    "--fetch",
    is_flag=True,
    help="向节点取每份证照的证明再核验，不凭节点所述 / Fetch proofs from the node, and take nothing on its word.",
)
@click.option(
    "--status-list",
    "status_lists",
    type=FILE,
    multiple=True,
    help="状态清单，核验文件夹时用，可多次给出 / A status list, for a folder; repeatable.",
)
@click.option(
    "--recipient",
    help="出示件、加注件应给谁，核验文件夹时用 / Who presentations and copies should be made out to, for a folder.",
)
@list_trust_options
@click.option(
    "--out",
    "reports",
    type=FILE,
    multiple=True,
    help="报告文件，.csv 或 .pdf，可多次给出 / The report, .csv or .pdf; repeatable.",
)
@json_option
def verify_list(
    source: Path,
    url: str,
    day: str | None,
    trust: Path,
    root: Path | None,
    fetch: bool,
    status_lists: tuple[Path, ...],
    recipient: str | None,
    departments: tuple[str, ...],
    reports: tuple[Path, ...],
    as_json: bool,
) -> int:
    """批量核验 SOURCE：清单（.csv、.xlsx、.txt）问节点，文件夹则离线 / Verify a list by a node, or a folder offline.

    清单每行一个证照标识，可带文件的 SM3；只把标识与摘要发给节点。文件夹中放证明文件与证照文件；--fetch 取证明，不发出文件内容。
    全部有效则退出状态为 0，否则为 1 / A list names one identifier a line, perhaps with the document's SM3; nothing else is sent to the
    node. A folder holds proofs and documents; --fetch sends no content of them. Exit status 0 when all are valid, else 1.
    """
    if day is not None:
        day_start("--on", day)
    # Imported only now: the help of a command needs none of it.
    from sdk.list_verification import check_reports, read_listed, verify_on_node, write_report

    if source.is_dir():
        check_reports(reports, 0)
        lists = _load_lists(status_lists, trust, root, departments)
        report, content = _verify_folder(source, trust, root, url if fetch else None, lists, recipient)
        check_reports(reports, len(report.items))
    elif status_lists or recipient is not None:
        raise click.UsageError(
            "名单由节点按最新账本核验，--status-list、--recipient 只用于文件夹 / "
            "a node answers for a list: --status-list and --recipient are for a folder"
        )
    else:
        listed, content = read_listed(source)
        check_reports(reports, len(listed))
        with open_client(url) as client:
            report = _prove_list(client, listed, trust, day) if fetch else verify_on_node(client, listed, day=day)
    for path in reports:
        write_report(path, report, source.name, content)
    shown = msgspec.to_builtins(report) | {
        "is_all_valid": report.is_all_valid,
        "reports": [str(path) for path in reports],
    }
    show(shown, as_json, _text(report, reports))
    return 0 if report.is_all_valid else EXIT_REFUSED


def _prove_list(client: Client, listed: list[Listed], trust: Path, day: str | None) -> ListReport:
    from sdk.proven_list import prove_list
    from sdk.trust import load_trust

    known, now_ms = load_trust(trust), time.time_ns() // 1_000_000
    if not sys.stderr.isatty():
        return prove_list(client, listed, known, now_ms, day)
    with click.progressbar(listed, label="核验 / verifying", file=sys.stderr) as shown:
        return prove_list(client, shown, known, now_ms, day)


def _load_lists(
    status_lists: tuple[Path, ...], trust: Path, root: Path | None, departments: tuple[str, ...]
) -> list[TrustedList]:
    if not status_lists:
        return []
    from sdk.trusted_lists import list_trust, load_trusted_lists

    return load_trusted_lists(status_lists, list_trust(trust, root, departments))


def _verify_folder(
    folder: Path, trust: Path, root: Path | None, url: str | None, lists: list[TrustedList], recipient: str | None
) -> tuple[ListReport, bytes]:
    """Return the report on a folder; with a node's address, proofs that are missing are fetched there, all of one height."""
    from sdk.documents import read_limited
    from sdk.folder_verification import verify_folder
    from sdk.proofs import fetch_document_proof
    from sdk.trust import load_trust
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates

    known, now_ms = load_trust(trust), time.time_ns() // 1_000_000
    roots = None if root is None else decode_certificates(read_limited(root, MAX_PEM_BYTES), str(root))
    if url is None:
        return verify_folder(folder, known, now_ms, roots, lists=lists, recipient=recipient)
    with open_client(url) as client:
        height = int(client.status()["height"])
        return verify_folder(
            folder, known, now_ms, roots, lambda raw: fetch_document_proof(client, raw, height)[1], lists, recipient
        )


def _text(report: ListReport, reports: tuple[Path, ...]) -> str:
    counts: dict[str, int] = {}
    for item in report.items:
        counts[item.verdict] = counts.get(item.verdict, 0) + 1
    others = [item for item in report.items if not item.is_valid]
    lines = [
        table(("结论 / verdict", "数量 / count"), [(code, f"{count:,}") for code, count in sorted(counts.items())])
    ]
    if others:
        lines += [
            "",
            table(("行 / line", "证照 / certificate", "结论 / verdict", ""), list(map(_row, others[:MAX_SHOWN_ROWS]))),
        ]
    if len(others) > MAX_SHOWN_ROWS:
        lines.append(f"… 另有 / and {len(others) - MAX_SHOWN_ROWS:,}")
    as_of = None
    if report.height is not None and report.block_time_ms is not None:
        as_of = f"区块 / block {report.height:,} · {show_time(report.block_time_ms)}"
    facts: list[tuple[str, object]] = [
        ("网络 / network", report.network_name),
        ("截至 / as of", as_of),
        ("有效 / valid", f"{len(report.items) - len(others):,} / {len(report.items):,}"),
    ]
    facts += [("报告 / report", path) for path in reports]
    return "\n".join([*lines, "", fields(facts)])


def _row(item: ListedVerdict) -> tuple[str, str, str, str]:
    return (str(item.line), item.subject.replace("\n", " "), item.verdict, f"{item.zh} / {item.en}")
