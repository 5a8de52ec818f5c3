"""govnode catalogue import, export, diff: tables of the catalogue and the ledger, CSV and Excel."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import (
    FILE,
    FOLDER,
    KEY_VARIABLE,
    PASSWORD_FILE_VARIABLE,
    open_client,
    open_signer,
    url_option,
)
from sdk.cli.output import EXIT_REFUSED, fields, json_option, say, show, show_progress
from sdk.cli.row_faults import count_of, fault_lines
from verification.errors import InputError
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sdk.client import Client
    from sdk.data_catalogue.difference import EntryChange
    from sdk.data_catalogue.importing import ImportResult
    from sdk.data_catalogue.kinds import Entry
    from sdk.data_catalogue.planning import ImportPlan
    from sdk.data_catalogue.reading import TableContent
    from sdk.tables.lines import RowFault

KIND_NAMES: Final = ("duties", "systems", "resources")
MAX_SHOWN_FAULTS: Final = 10
MAX_SHOWN_CHANGES: Final = 200

_STEPS: Final = {
    "compare": ("核对", "compare"),
    "send": ("写入", "send"),
}
_KIND_WORDS: Final = {
    "duties": ("职责", "duties"),
    "systems": ("系统", "systems"),
    "resources": ("资源", "resources"),
}
_CHANGES: Final = {"added": "＋", "removed": "－", "changed": "～"}

kind_option = click.option(
    "--kind",
    type=click.Choice(KIND_NAMES),
    help="表的种类；不给则由列名判断 / Which table it is; told from its columns when absent.",
)


@click.command("import", cls=Command)
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option(
    "--keys",
    type=FOLDER,
    help="各部门编目账户密钥的文件夹（名称.key 与 名称.password），优先于 --key / "
    "Folder of publishers' keys, NAME.key and NAME.password; goes before --key.",
)
@click.option(
    "--key", type=FILE, envvar=KEY_VARIABLE, show_envvar=True, help="一个部门的编目账户密钥 / One publisher's key."
)
@click.option(
    "--password-file",
    type=FILE,
    envvar=PASSWORD_FILE_VARIABLE,
    show_envvar=True,
    help="--key 的口令文件（0600）/ File (0600) with the password of --key.",
)
@click.option(
    "--department",
    default="",
    help="表中没有“提供方代码”列时的部门代码 / Whose the rows are, in a table that does not say.",
)
@kind_option
@click.option("--check", is_flag=True, help="只核对，不写入 / Only check and compare.")
@click.option(
    "--skip-faulty",
    is_flag=True,
    help="略过有问题的行，其余照常写入 / Leave faulty rows out and put the others on the ledger.",
)
@click.option(
    "--report",
    type=FILE,
    help="问题清单 CSV；不给则写在第一个有问题的文件旁 / CSV of what is wrong; beside the first such file when absent.",
)
@url_option
@json_option
def import_tables(
    files: tuple[Path, ...],
    keys: Path | None,
    key: Path | None,
    password_file: Path | None,
    department: str,
    kind: str | None,
    check: bool,
    skip_faulty: bool,
    report: Path | None,
    url: str,
    as_json: bool,
) -> int:
    """导入职责、系统、数据目录表（CSV、XLSX）/ Import tables of duties, systems and resources.

    与账本相同的不再写入；中断后再次运行即从中断处继续 / What the ledger has already is left as it is: run it again after it was cut off,
    and it goes on. 各部门的行由本部门的密钥签名 / Each row is signed by its own department's key.
    """
    from sdk.data_catalogue.importing import ImportResult, run_import
    from sdk.data_catalogue.planning import plan_import, sorted_faults
    from sdk.data_catalogue.writing import write_faults
    from sdk.errors import NodeUnreachable

    if not check and keys is None and key is None:
        raise click.UsageError(
            "请用 --keys 或 --key 之一指明密钥，或加 --check 只核对 / name keys with --keys or --key, or add --check"
        )
    tables = _read(files, kind, department)
    with ExitStack() as stack:
        client = stack.enter_context(open_client(url))
        plan = plan_import(client, tables, _progress(as_json))
        result = ImportResult()
        is_held = check or (bool(plan.faults) and not skip_faulty)
        if not is_held and plan.departments:
            signers = _signers(stack, client, plan, keys, key, password_file)
            try:
                result = run_import(client, signers, plan, _progress(as_json))
            except NodeUnreachable as error:
                raise NodeUnreachable(
                    error.code,
                    f"{error.zh}；已写入的不受影响，之后再次运行即从中断处继续",
                    f"{error.en}; what was put on the ledger stays there: run it again later, and it goes on",
                ) from None
    faults = sorted_faults([*plan.faults, *result.faults])
    named = faults[0][0] if faults else files[0]
    path = report or named.with_name(f"{named.stem}-faults.csv")
    if faults:
        write_faults(path, faults)
    _show_import(plan, result, faults, path, is_held and not check, as_json)
    return EXIT_REFUSED if faults or result.without_key else 0


@click.command("export", cls=Command)
@click.argument("out", type=FILE)
@click.option(
    "--kind",
    type=click.Choice(KIND_NAMES),
    default="resources",
    show_default=True,
    help="导出哪种目录 / Which of the directories.",
)
@click.option("--department", help="只导出一个部门的 / Code of the department whose entries are wanted.")
@click.option("--search", help="只导出含这些字词的 / Only what has these words.")
@url_option
@json_option
def export_table(out: Path, kind: str, department: str | None, search: str | None, url: str, as_json: bool) -> None:
    """导出现行目录到 OUT（.csv 或 .xlsx），可改后再导入 / Export what is in force, to be changed and imported again."""
    from sdk.data_catalogue.exporting import list_entries
    from sdk.data_catalogue.kinds import KINDS
    from sdk.data_catalogue.writing import write_table

    with open_client(url) as client:
        entries = list_entries(client, KINDS[kind], department=department, text=search)
    count = write_table(out, KINDS[kind], entries)
    show({"rows": count, "out": str(out)}, as_json, fields([("已导出 / exported", count), ("文件 / file", out)]))


@click.command("diff", cls=Command)
@click.argument("before", type=FILE)
@click.argument("after", type=FILE, required=False)
@click.option(
    "--department",
    default="",
    help="表中没有“提供方代码”列时的部门代码 / Whose the rows are, in a table that does not say.",
)
@kind_option
@url_option
@json_option
def diff_tables(before: Path, after: Path | None, department: str, kind: str | None, url: str, as_json: bool) -> int:
    """比较同种的两张表，或一张表与账本：新增、减少与逐项变更 / Compare two tables, or one with the ledger: field by field.

    只给一张表时，与账本上这些部门的现行目录比较，已提交而待审批的注明 / Given one table, it is compared with what is in force of
    its departments; what was sent and waits for approval says so.
    有差异时退出状态为 1 / Exit status 1 where they differ.
    """
    from sdk.data_catalogue.difference import compare
    from sdk.data_catalogue.exporting import list_entries, list_waiting

    tables = _read((before,) if after is None else (before, after), kind, department)
    for table in tables:
        if table.faults:
            _fail_faulty(table)
    old, new = tables[0], tables[-1]
    waiting: list[Entry] = []
    if after is None:
        known = []
        with open_client(url) as client:
            for code in sorted({entry.department for entry in new.entries}):
                known += list_entries(client, new.kind, department=code)
                waiting += list_waiting(client, new.kind, code)
    elif old.kind is not new.kind:
        raise InputError(
            "TABLES_OF_TWO_KINDS",
            f"{before} 是{old.kind.zh}，{after} 是{new.kind.zh}",
            f"{before} is a {old.kind.en}, {after} a {new.kind.en}",
        )
    else:
        known = old.entries
    changes = compare(known, new.entries, waiting)
    show_changes(changes, as_json)
    return EXIT_REFUSED if changes else 0


def show_changes(changes: list[EntryChange], as_json: bool) -> None:
    """Print changes: a line an entry, and below it a line a field that is not the same."""
    import msgspec

    from sdk.data_catalogue.difference import SENT, WAITING

    lines = []
    for change in changes[:MAX_SHOWN_CHANGES]:
        stands = f"（{' / '.join(WAITING[change.waiting])}）" if change.waiting else ""
        lines.append(shown_line(f"{_CHANGES[change.change]} {change.code}  {change.name}{stands}"))
        lines += [
            shown_line(f"    {field.zh}：{field.before or '（空）'} → {field.after or '（空）'}")
            for field in change.fields
        ]
    counts = {name: sum(change.change == name for change in changes) for name in _CHANGES}
    if len(changes) > MAX_SHOWN_CHANGES:
        lines.append(f"… 其余用 --json 查看 / {len(changes) - MAX_SHOWN_CHANGES} more with --json")
    lines.append(
        f"新增 / added {counts['added']}, 减少 / removed {counts['removed']}, 变更 / changed {counts['changed']}"
    )
    sent = sum(change.waiting == SENT for change in changes)
    if sent:
        lines.append(f"其中已提交、待审批 / of these sent and waiting for approval {sent}")
    shown = counts | {"waiting": sent, "changes": msgspec.to_builtins(changes)}
    show(shown, as_json, "\n".join(lines))


def _read(files: tuple[Path, ...], kind: str | None, department: str) -> list[TableContent]:
    from sdk.data_catalogue.kinds import KINDS
    from sdk.data_catalogue.reading import read_table

    tables = [read_table(path, None if kind is None else KINDS[kind], department=department) for path in files]
    for table in tables:
        if above := table.headings_line - 1:
            zh, en = f"列名之上的 {above} 行未读入", f"{count_of(above, 'line')} above the column names not read"
            say(f"{table.path}：{zh} / {en}", err=True)
    return tables


def _fail_faulty(table: TableContent) -> None:
    first = table.faults[0]
    raise InputError(
        "TABLE_FAULTY",
        f"{table.path} 有 {len(table.faults)} 处问题，先用 catalogue import --check 查明；第 {first.line} 行：{first.zh}",
        f"{len(table.faults)} things are wrong in {table.path}: see catalogue import --check; line {first.line}: {first.en}",
    )


def _signers(
    stack: ExitStack, client: Client, plan: ImportPlan, keys: Path | None, key: Path | None, password_file: Path | None
) -> dict[str, Client]:
    """Return for each department whose key is at hand a client that signs with it."""
    if keys is not None:
        from sdk.data_catalogue.publishers import open_publishers

        return stack.enter_context(open_publishers(client, keys, plan.departments))
    from sdk.client import Client as SigningClient

    assert key is not None, "the command asks for one of both"
    signing = stack.enter_context(SigningClient(client.url, open_signer(key, password_file)))
    return {signing.own_department(): signing}


def _progress(as_json: bool) -> Any:
    def tell(step: str, done: int, total: int) -> None:
        name, _, kind = step.partition(" ")
        if not as_json:
            (zh, en), (kind_zh, kind_en) = _STEPS[name], _KIND_WORDS[kind]
            show_progress(f"{zh}{kind_zh} / {en} {kind_en} {done}/{total}")

    return tell


def _show_import(
    plan: ImportPlan,
    result: ImportResult,
    faults: list[tuple[Path, RowFault]],
    report: Path,
    is_held: bool,
    as_json: bool,
) -> None:
    from sdk.data_catalogue.planning import CHANGED, NEW

    rows: list[tuple[str, object]] = [
        ("表中 / rows", plan.rows),
        ("新增 / new", plan.count(NEW)),
        ("变更 / changed", plan.count(CHANGED)),
        ("与账本相同 / unchanged", plan.unchanged),
        ("此前提交、待审批 / sent before, waiting for approval", plan.waiting),
        ("已写入 / put on the ledger", result.done),
        ("其中待审批 / of these to be approved", result.waiting or None),
        ("交易 / transactions", result.transactions),
        ("问题 / faults", len(faults)),
    ]
    counts = {"rows": plan.rows, "new": plan.count(NEW), "changed": plan.count(CHANGED), "unchanged": plan.unchanged}
    counts |= {
        "waiting": plan.waiting,
        "done": result.done,
        "to_be_approved": result.waiting,
        "transactions": result.transactions,
        "faults": len(faults),
    }
    lines = [fields(rows)]
    if faults:
        lines += fault_lines([fault for _, fault in faults[:MAX_SHOWN_FAULTS]])
        lines.append(shown_line(f"问题清单 / all faults: {report}"))
    for department, count in result.without_key.items():
        lines.append(
            shown_line(
                f"缺少部门 {department} 的编目密钥，{count} 项未写入 / no publisher's key of it, {count} left out"
            )
        )
    if is_held:
        lines.append(
            "有问题，未写入；改正后再次导入，或加 --skip-faulty / nothing was written: correct it, or add --skip-faulty"
        )
    if not as_json:
        say("", err=True)
    result_json = {
        **counts,
        "without_key": result.without_key,
        "report": str(report) if faults else None,
        "is_held": is_held,
    }
    show(result_json, as_json, "\n".join(lines))
