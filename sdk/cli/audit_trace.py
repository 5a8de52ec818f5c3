"""govnode audit trace, verify: who read what, in one file that proves that nothing was left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, check_hex, day_end, day_start, key_options, open_signer, url_option
from sdk.cli.output import EXIT_FORCE_UNKNOWN, EXIT_REFUSED, fields, json_option, show, show_progress, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.access.reads import Read
    from verification.access.rules import AuditFacts
    from verification.access.trace_filter import TraceFilter
    from verification.access.trace_verdict import TraceVerdict

TRUST_VARIABLE: Final = "GOVNODE_TRUST"
MAX_SHOWN_READS: Final = 1_000
MAX_JSON_READS: Final = 100_000
"""Past which `audit report --reads-csv` has them all."""
MAX_SHOWN_PROBLEMS: Final = 20
MAX_HEAD_AGE_MS: Final = 600_000
"""How far a node's newest block may lie behind this machine's clock to be what "until now" means."""

trust_option = click.option(
    "--trust",
    type=FILE,
    envvar=TRUST_VARIABLE,
    show_envvar=True,
    default=Path("trust.json"),
    show_default=True,
    help="信任文件 / The trust file.",
)


@click.command("trace", cls=Command)
@click.option("--from", "first_day", required=True, metavar="YYYY-MM-DD", help="自何日起（北京时间）/ From which day.")
@click.option(
    "--to",
    "last_day",
    metavar="YYYY-MM-DD",
    help="至何日止，至迟为最新区块；缺省即至最新区块 / To which day, at the latest the newest block; that by default.",
)
@click.option("--resource", default="", help="资源代码 / Code of a resource.")
@click.option("--department", default="", help="提供、使用或记录方的代码 / Code of provider, consumer or recorder.")
@click.option("--grant", help="授权标识 / Id of a grant.")
@click.option("--case", "case_number", default="", help="办件编号 / Number of a case.")
@click.option(
    "--person", help="人员承诺，由 govnode audit person 得到 / Commitment to a person, from govnode audit person."
)
@click.option(
    "--recorded-by",
    multiple=True,
    help="只看这些部门的记录流，可多次给出；缺省为全部 / Only these departments' streams; repeatable; all by default.",
)
@click.option(
    "--basis", default="", help="审计依据（文号），先行上链登记 / Mandate of the audit, recorded on the ledger first."
)
@click.option(
    "--archive", "archives", type=FOLDER, multiple=True, help="第二存放处的文件夹 / Folder of a second place."
)
@click.option(
    "--keeping-node",
    "keeping_nodes",
    multiple=True,
    help="代存密封正文的节点地址 / Address of a node that keeps copies.",
)
@click.option(
    "--open-with",
    "opening_keys",
    type=FILE,
    multiple=True,
    help="审计机关的加密密钥文件，用于打开第二存放处的副本 / Key file of the authority's encryption key, for copies.",
)
@click.option(
    "--open-password-file",
    type=FILE,
    help="加密密钥的口令文件，缺省同 --password-file / File with the password of these keys; --password-file by default.",
)
@click.option(
    "--store",
    "stores",
    type=FILE,
    multiple=True,
    help="手头的访问记录库或其副本 / A recorder's store at hand, or a copy of it; repeatable.",
)
@click.option("--out", type=FILE, required=True, help="写入哪个文件 / Which file to write.")
@trust_option
@url_option
@key_options
@json_option
def trace(
    first_day: str,
    last_day: str | None,
    resource: str,
    department: str,
    grant: str | None,
    case_number: str,
    person: str | None,
    recorded_by: tuple[str, ...],
    basis: str,
    archives: tuple[Path, ...],
    keeping_nodes: tuple[str, ...],
    opening_keys: tuple[Path, ...],
    open_password_file: Path | None,
    stores: tuple[Path, ...],
    out: Path,
    trust: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """追溯读取，写成带完整性证明的文件并当即核验 / Trace reads into a file that proves its completeness, and verify it.

    审计方须给出 --basis；当事部门只能追溯本部门的记录流 / An auditor gives --basis; a party traces its own department's streams.

    退出状态：0 完整（到期应有的都在，所述时刻之后的尚未到期），3 属实而不完整（正文未提供，或记录流逾期），1 有误 / Exit status: 0 complete
    (all that was due; what follows the moment that it names is not due), 3 sound and not complete (bodies withheld, streams late), 1 wrong.
    """
    from contracts.fields import MAX_TIME_MS
    from sdk.access_audit.traces import Places, make_trace
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.cli.exchange import open_private_key
    from sdk.client import Client
    from verification.access.reads import NO_DIGEST
    from verification.access.rules import AuditFacts
    from verification.access.trace_filter import TraceFilter
    from verification.shown_text import shown_line

    signer = open_signer(key, password_file)
    keys = [open_private_key(path, open_password_file or password_file) for path in opening_keys]
    with Client(url, signer) as client:
        nodes = [Client(address, signer) for address in keeping_nodes]
        wanted = TraceFilter(
            day_start("--from", first_day),
            MAX_TIME_MS if last_day is None else day_end("--to", last_day),
            resource,
            department,
            NO_DIGEST if grant is None else check_hex("--grant", grant, 32),
            case_number,
            NO_DIGEST if person is None else check_hex("--person", person, 32),
            recorded_by,
        )
        wanted = _recorded_period(client, wanted)
        places = Places(archives, nodes, keys, [StoredReads(path) for path in stores])
        made = make_trace(client, signer, wanted, out, basis, places, _progress(as_json))
    facts = AuditFacts()
    verdict = _verified(out, trust, facts)
    altered = [
        {"place": one.place, "code": fault.code, "zh": fault.texts[0], "en": fault.texts[1]}
        for one in made.made.altered
        for fault in one.faults
    ]
    lines = [shown_line(f"✗ {fault['place']}: {fault['zh']} / {fault['en']}") for fault in altered]
    result = verdict_json(verdict, facts) | {"file": str(out), "query": made.query, "altered": altered}
    text = "\n".join([verdict_lines(verdict, facts), *lines[:MAX_SHOWN_PROBLEMS]])
    show(result, as_json, text)
    return exit_status(verdict)


@click.command("verify", cls=Command)
@click.argument("file", type=FILE)
@click.option(
    "--signature", type=FILE, help="报告的签名文件，缺省为 FILE.sig.json / Signature of a report; FILE.sig.json."
)
@trust_option
@json_option
def verify(file: Path, signature: Path | None, trust: Path, as_json: bool) -> int:
    """离线核验追溯文件，或审计报告的签名 / Verify a trace, or the signature of an audit's report, without any node.

    退出状态：0 完整（或签名成立），3 属实而不完整或其余部分现已到期，1 有误 / Exit status: 0 complete (or signed), 3 sound, not complete,
    or what was not due is due by now, 1 wrong.
    """
    from sdk.access_audit.report_signing import SIGNATURE_SUFFIX, verify_report
    from verification.days import show_time

    if not is_trace_file(file):
        beside = file.with_name(file.name + SIGNATURE_SUFFIX) if signature is None else signature
        by = verify_report(file, beside, trust)
        shown = {
            "department": by.department,
            "account": by.name,
            "address": "0x" + by.address.hex(),
            "signed_ms": by.signed_ms,
            "height": by.height,
            "trace_sm3": by.trace_sm3,
            "query": by.query,
        }
        text = fields(
            [
                ("✓ 签名成立 / signed by", f"{by.department} {by.name}"),
                ("时间 / at", show_time(by.signed_ms)),
                ("追溯文件 SM3 / of the trace", by.trace_sm3),
                ("审计查询 / query", by.query or None),
            ]
        )
        show(shown, as_json, text)
        return 0
    return show_trace_verdict(file, trust, as_json)


def show_trace_verdict(file: Path, trust: Path, as_json: bool) -> int:
    """Print what a trace shows, and return the exit status."""
    from sdk.access_audit.traces import now_ms
    from verification.access.rules import AuditFacts

    facts = AuditFacts()
    verdict = _verified(file, trust, facts)
    show(verdict_json(verdict, facts), as_json, verdict_lines(verdict, facts))
    # Who gets a trace later is told where it could have more by now.
    return EXIT_FORCE_UNKNOWN if verdict.is_complete and verdict.is_due_by(now_ms()) else exit_status(verdict)


def is_trace_file(file: Path) -> bool:
    """Return whether a file says that it is a trace; False where it cannot be read."""
    from verification.access.trace_file import FIRST_LINE, is_trace

    try:
        with file.open("rb") as opened:
            return is_trace(opened.read(len(FIRST_LINE)))
    except OSError:
        return False


def exit_status(verdict: TraceVerdict) -> int:
    """Return 0 for a complete trace, 3 for a sound one that is not complete, 1 for any other."""
    if not verdict.is_sound:
        return EXIT_REFUSED
    return 0 if verdict.is_complete else EXIT_FORCE_UNKNOWN


def verdict_json(verdict: TraceVerdict, facts: AuditFacts) -> dict[str, Any]:
    """Return a verdict in JSON's types, with its reads as `items`, those of a sealed person as `undecided`, MAX_JSON_READS each."""
    from node.http.proof_file import to_words
    from verification.access.rules import compare_sides

    shown: dict[str, Any] = {
        "is_sound": verdict.is_sound,
        "is_complete": verdict.is_complete,
        "reaches_end": verdict.reaches_end,
        **to_words(verdict),
    }
    shown["faults"] = [
        {**fault, "zh": found.texts[0], "en": found.texts[1]}
        for fault, found in zip(shown["faults"], verdict.faults, strict=True)
    ]
    if verdict.filter is not None:
        compared = compare_sides(facts, verdict)
        shown["agreed"], shown["not_comparable"] = compared.agreed, compared.not_comparable
        shown["differing"], shown["unanswered"] = len(compared.differences), compared.unanswered
    decided, undecided = _by_decision(verdict, facts.reads)
    zh, en = verdict.undecided_texts
    return shown | {
        "items": [to_words(read) for read in decided[:MAX_JSON_READS]],
        "undecided": [to_words(read) for read in undecided[:MAX_JSON_READS]],
        "undecided_text": {"zh": zh, "en": en},
    }


def _by_decision(verdict: TraceVerdict, reads: list[Read]) -> tuple[list[Read], list[Read]]:
    """Return the reads that are asked for, and those whose person is sealed, which are neither that person's nor not."""
    wanted = verdict.filter
    undecided = [read for read in reads if wanted is not None and wanted.is_undecided(read.subject)]
    apart = {id(read) for read in undecided}
    return [read for read in reads if id(read) not in apart], undecided


def verdict_lines(verdict: TraceVerdict, facts: AuditFacts) -> str:
    """Return a verdict for people: the reads, those of a sealed person apart, what is wrong, what is missing."""
    from verification.access.trace_verdict import withheld_runs
    from verification.days import show_moment, show_time
    from verification.shown_text import shown_line

    decided, undecided = _by_decision(verdict, facts.reads)
    lines = _read_lines(decided)
    if undecided:
        lines += [f"? {' / '.join(verdict.undecided_texts)}:", *_read_lines(undecided)]
    lines += [f"✗ {zh} / {en}" for zh, en in (fault.texts for fault in verdict.faults[:MAX_SHOWN_PROBLEMS])]
    lines += _more(verdict.fault_count)
    runs = withheld_runs(verdict.withheld)
    for run in runs[:MAX_SHOWN_PROBLEMS]:
        first, last = run[0], run[-1]
        numbers = f"{first.batch_number}" if first is last else f"{first.batch_number}-{last.batch_number}"
        lines.append(
            f"! BODY_WITHHELD {first.department}/{first.recorder.hex()} 批次 / batch {numbers}: "
            f"{sum(one.count for one in run)} 条 / reads ({first.reason})"
        )
    lines += _more(len(runs))
    lines += _open_lines(verdict)
    if verdict.filter is not None:
        ends = (show_moment(verdict.filter.from_ms), show_time(verdict.filter.to_ms))
        lines.append(f"时段 / period {' – '.join(ends)}")
    lines.append(_conclusion(verdict, facts))
    return "\n".join(line if "\n" in line else shown_line(line) for line in lines)


def _read_lines(reads: list[Read]) -> list[str]:
    """Return reads as a table, in the order of their times, as many as a terminal has use for."""
    from contracts.data_sharing.access import OUTCOMES
    from verification.access.reads import SIDES
    from verification.days import show_time

    headings = (
        "时间 / time",
        "一方 / side",
        "提供方 / provider",
        "使用方 / consumer",
        "资源 / resource",
        "办件 / case",
        "结果 / outcome",
        "序号 / no.",
    )
    rows = [
        (
            show_time(read.read_ms),
            " ".join(SIDES[read.side]) + ("" if read.is_of_party else f" ✗ {read.department}"),
            read.sharing.provider,
            read.sharing.consumer,
            read.sharing.resource,
            read.case.case_number,
            " ".join(OUTCOMES[read.outcome]),
            str(read.number),
        )
        for read in sorted(reads, key=lambda read: (read.read_ms, read.number))[:MAX_SHOWN_READS]
    ]
    lines = [table(headings, rows), ""] if rows else []
    if len(reads) > MAX_SHOWN_READS:
        lines.append(f"… 另有 {len(reads) - MAX_SHOWN_READS} 条 / and {len(reads) - MAX_SHOWN_READS} more")
    return lines


def _open_lines(verdict: TraceVerdict) -> list[str]:
    """Return the lines on streams that do not reach the end of the period, those that are late apart from those not due."""
    from sdk.access_audit.traces import now_ms
    from verification.days import show_moment, show_time

    lines = []
    for stream in verdict.open_streams[:MAX_SHOWN_PROBLEMS]:
        zh, en = ("已结束，此前未登记完", "ended without its last reads") if stream.is_ended else ("逾期", "late")
        lines.append(
            f"! {stream.department}/{stream.recorder.hex()} {zh}，仅覆盖至 / {en}, covered only until {show_time(stream.covered_ms)}"
        )
    lines += _more(verdict.open_count)
    for stream in verdict.pending_streams[:MAX_SHOWN_PROBLEMS]:
        lines.append(
            f"· {stream.department}/{stream.recorder.hex()} 覆盖至 / covered until {show_time(stream.covered_ms)}，"
            f"其后最迟 {show_moment(stream.due_ms)} 到期 / what follows is due by {show_moment(stream.due_ms)}"
        )
    lines += _more(verdict.pending_count)
    if verdict.is_due_by(now_ms()):
        lines.append("! 其中有的现已到期，请重新追溯 / some of that is due by now: make the trace again")
    if not verdict.reaches_end:
        lines.append(f"! 时段晚于所用区块 / the period ends after the trace's block: {show_time(verdict.time_ms)}")
    return lines


def _more(count: int) -> list[str]:
    """Return the line for those of a list that are not shown."""
    left = count - MAX_SHOWN_PROBLEMS
    return [f"… 另有 {left} 项 / and {left} more"] if left > 0 else []


def _conclusion(verdict: TraceVerdict, facts: AuditFacts) -> str:
    from verification.days import show_moment, show_time

    counted = (
        f"区块 / block {verdict.height} ({show_moment(verdict.time_ms)}), {verdict.streams_looked_at}/{verdict.streams} 流 / streams, "
        f"{verdict.batches} 批次 / batches, {verdict.reads} 条读取 / reads, {verdict.matches} 条符合 / asked for"
    )
    if verdict.sealed_persons:
        counted += f", {verdict.sealed_persons} 条人员密封、未定 / person sealed, undecided"
    counted += _one_side_only(verdict, facts)
    if not verdict.is_sound:
        return f"✗ 追溯无效 / the trace is not sound: {counted}"
    if not verdict.is_complete:
        return f"! 属实而不完整 / sound, and not complete: {counted}"
    if verdict.pending_count:
        until = show_time(verdict.covered_until_ms)
        return (
            f"✓ 完整至 {until}，其后尚未到期：没有遗漏、增加、改动 / complete until {until}, what follows is not due yet: "
            f"nothing left out, added or changed: {counted}"
        )
    return f"✓ 完整：没有遗漏、增加、改动 / complete, nothing left out, added or changed: {counted}"


def _one_side_only(verdict: TraceVerdict, facts: AuditFacts) -> str:
    """Return the words on reads that the two sides do not both have alike: completeness is about what was recorded, by either."""
    from verification.access.rules import compare_sides

    if verdict.filter is None:
        return ""
    compared = compare_sides(facts, verdict)
    alone, differing = compared.not_comparable, len(compared.differences)
    words = f", {alone} 条无对方记录可比 / without the other side's record to compare" if alone else ""
    if compared.unanswered:
        words += f", {compared.unanswered} 条使用方未收到应答 / answered, and nothing came to the consumer"
    return words + (f", {differing} 处双方不一致 / differences (govnode audit findings)" if differing else "")


def _verified(file: Path, trust: Path, facts: AuditFacts) -> TraceVerdict:
    from sdk.access_audit.traces import verify_trace_file

    return verify_trace_file(file, trust, facts)


def _recorded_period(client: Client, wanted: TraceFilter) -> TraceFilter:
    """Return what is asked for, until now at the latest; raise InputError DATES_REVERSED or PERIOD_NOT_BEGUN."""
    import msgspec

    from sdk.access_audit.traces import now_ms
    from verification.days import show_moment

    if wanted.from_ms > wanted.to_ms:
        raise InputError("DATES_REVERSED", "--to 早于 --from", "--to lies before --from")
    # A block says nothing of what follows it, not even which streams there are.
    head_ms = int(client.rpc("gov_status")["head_time_ms"])
    if wanted.from_ms > head_ms:
        newest = show_moment(head_ms)
        raise InputError(
            "PERIOD_NOT_BEGUN",
            f"--from 晚于最新区块（{newest}）：账本上还没有该时段的记录",
            f"--from lies after the newest block ({newest}): the ledger has nothing of that period yet",
        )
    clock_ms = now_ms()
    # Of a node that stands still the period stays as it was asked for: the verdict says that its block does not reach the end.
    is_live = clock_ms - head_ms <= MAX_HEAD_AGE_MS
    latest_ms = head_ms if is_live else clock_ms
    is_until_now = is_live and wanted.to_ms > latest_ms
    return msgspec.structs.replace(wanted, to_ms=min(wanted.to_ms, latest_ms), is_until_now=is_until_now)


def _progress(is_quiet: bool) -> Any:
    """Return what counts batches on the terminal, or None."""
    if is_quiet:
        return None
    seen = 0

    def count(stream: Any, batch: Any) -> None:
        nonlocal seen
        seen += 1
        if seen % 100 == 0:
            show_progress(f"{seen} 批次 / batches")

    return count
