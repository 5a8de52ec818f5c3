"""govnode access: streams of access records, and reads that a department records without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.access_archive import archive
from sdk.cli.access_keep import keep
from sdk.cli.access_shown import shown
from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, key_options, open_client, open_signer, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, table

if TYPE_CHECKING:
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.client import Client
    from verification.access.reads import ReadDraft, Subject

MAX_LISTED: Final = 10_000
MAX_PERSON_FILE_BYTES: Final = 1_024


@click.group(cls=Group)
def access() -> None:
    """数据访问记录 / Access records."""


@access.command("streams")
@url_option
@json_option
def streams(url: str, as_json: bool) -> int:
    """列出全部访问记录流；有逾期者则退出状态为 1 / List all streams; exit status 1 when one is late."""
    from verification.days import show_moment

    with open_client(url) as client:
        found = client.get_all("/access-streams", limit=MAX_LISTED)
    rows = [
        (
            stream["department_name"],
            stream["recorder"],
            str(stream["number"]),
            str(stream["batch_number"]),
            show_moment(stream["covered_ms"]) if stream["batch_number"] else "–",
            _state(stream),
        )
        for stream in found
    ]
    headings = (
        "部门 / department",
        "记录账户 / recorder",
        "条数 / reads",
        "批次 / batches",
        "覆盖至 / covered",
        "状态 / state",
    )
    show({"items": found}, as_json, table(headings, rows))
    return EXIT_REFUSED if any(stream["is_late"] for stream in found) else 0


@access.command("end")
@click.argument("recorder")
@url_option
@key_options
@json_option
def end(recorder: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """声明账户 RECORDER 的记录流就此结束：本人，或本部门管理账户 / Say that no batches follow: its recorder, or an administrator."""
    from sdk.system_contracts.access import Access

    with open_client(url, key, password_file) as client:
        receipt = Access(client).end_stream(recorder=check_hex("RECORDER", recorder, 20))
    show({"height": receipt.height}, as_json, fields([("区块 / block", receipt.height)]))


@access.command("record")
@click.argument("grant")
@click.option("--reads", type=FILE, required=True, help="本账户的访问记录库 / The account's store of access records.")
@click.option(
    "--person-file",
    type=FILE,
    help="文件，内为被查询人的标识 / File with the number of the person whose data was read.",
)
@click.option(
    "--person-service", help="审计机关人员承诺服务的地址 / The auditing authority's service of commitments to persons."
)
@click.option("--system", required=True, help="业务系统 / The system that read.")
@click.option("--case", "case_number", required=True, help="办件编号 / Number of the case.")
@click.option("--case-type", default="", help="办件类型 / Type of the case.")
@click.option(
    "--query",
    type=FILE,
    required=True,
    help="查询内容的文件（只登记其 SM3）/ File with what was asked; its SM3 is recorded.",
)
@click.option(
    "--result", type=FILE, help="返回内容的文件（只登记其 SM3）/ File with what came back; its SM3 is recorded."
)
@click.option("--rows", type=click.IntRange(0), default=1, show_default=True, help="返回条数 / Rows that came back.")
@click.option("--refusal", help="被拒绝的代码 / The code that it was denied with.")
@url_option
@key_options
@json_option
def record(
    grant: str,
    reads: Path,
    person_file: Path | None,
    person_service: str | None,
    system: str,
    case_number: str,
    case_type: str,
    query: Path,
    result: Path | None,
    rows: int,
    refusal: str | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """登记一次在授权 GRANT 下的读取，并锚定到账本 / Record one read under a grant, and put it on the ledger.

    网关会自动登记；此命令供没有网关的系统使用 / A gateway records by itself; this is for systems without one.
    """
    from sdk.access_recording.anchorer import Anchorer
    from sdk.access_recording.keeping import open_recorder, policy_of_stream
    from sdk.client import Client
    from sdk.documents import document_digest

    if (result is None) != (refusal is not None):
        raise click.UsageError("--result 与 --refusal 给出其一 / give one of --result and --refusal")
    if (person_file is None) != (person_service is None):
        raise click.UsageError("--person-file 须与 --person-service 同用 / --person-file needs --person-service")
    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        department = client.own_department()
        subject = _subject(client, signer, person_file, person_service)
        draft = _draft(client, department, check_hex("GRANT", grant, 32), subject)
        draft = _filled(
            draft,
            system,
            (case_type, case_number),
            document_digest(query),
            None if result is None else document_digest(result),
            rows,
            refusal or "",
        )
        with open_recorder(reads, client, department, policy_of_stream(client, department)) as recorder:
            recorded = recorder.record(draft)
            anchorer = Anchorer(recorder, client)
            anchorer.anchor_all()
            batch = recorder.store.last_recorded()
            height = 0 if batch is None else recorder.store.height_of(batch.batch_number)
    shown = {"number": recorded.number, "digest": "0x" + recorded.digest.hex(), "height": height}
    text = fields(
        [("序号 / number", recorded.number), ("摘要 / digest", recorded.digest.hex()), ("区块 / block", height)]
    )
    show(shown, as_json, text)


@access.command("check")
@click.argument("reads", type=FILE)
@url_option
@json_option
def check(reads: Path, url: str, as_json: bool) -> int:
    """把访问记录库与账本逐批核对，不符则退出状态为 1 / Check a store against the ledger, batch by batch; exit status 1 on a difference."""
    from sdk.access_recording.stored_reads import StoredReads

    store = StoredReads(reads)
    try:
        with open_client(url) as client:
            checked, findings = _check_store(store, client)
    finally:
        store.close()
    lines = [f"✗ {one['batch_number']}: {one['zh']} / {one['en']}" for one in findings]
    lines.append(f"{checked} 批已核对 / batches checked")
    show({"batches": checked, "findings": findings}, as_json, "\n".join(lines))
    return EXIT_REFUSED if findings else 0


@access.command("export")
@click.argument("reads", type=FILE)
@click.option("--out", type=FILE, required=True, help="写入的 JSON 文件 / The JSON file to write.")
@click.option("--grant", help="授权标识 / Id of a grant.")
@click.option("--case", "case_number", help="办件编号 / Number of a case.")
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="起始序号 / First number.")
@json_option
def export(reads: Path, out: Path, grant: str | None, case_number: str | None, first: int, as_json: bool) -> None:
    """从访问记录库导出读取，一次至多 10,000 条 / Export reads of a store, at most 10,000 at a time."""
    from node.http.json_form import to_json
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.secret_files import SECRET_MODE
    from verification.access.reads import decode_read

    wanted = None if grant is None else check_hex("--grant", grant, 32)
    store = StoredReads(reads)
    try:
        found = [decode_read(raw) for raw in store.find_reads(first=first, grant=wanted, case_number=case_number)]
    finally:
        store.close()
    import orjson

    out.touch(mode=SECRET_MODE)
    out.write_bytes(orjson.dumps([to_json(read) for read in found], option=orjson.OPT_INDENT_2))
    last = found[-1].number if found else 0
    show({"reads": len(found), "last": last, "out": str(out)}, as_json, f"{len(found)} 条 / reads: {out}")


def _state(stream: dict[str, Any]) -> str:
    if stream["ended_ms"]:
        return "已结束 / ended"
    return "逾期 / late" if stream["is_late"] else "正常 / on time"


def _check_store(store: StoredReads, client: Client) -> tuple[int, list[dict[str, Any]]]:
    """Return how many of the ledger's batches were checked, and what is wrong in which."""
    from sdk.system_contracts.access import Access
    from verification.access.sealed_batches import check_bodies
    from verification.errors import InputError

    ledger = Access(client)
    findings: list[dict[str, Any]] = []
    last = ledger.stream(department=store.department, recorder=store.recorder).batch_number
    for number in range(1, last + 1):
        batch = ledger.batch(department=store.department, recorder=store.recorder, batch_number=number)
        try:
            check_bodies(batch, store.encoded_reads(batch.first_number, batch.first_number + batch.count - 1))
        except InputError as error:
            findings.append({"batch_number": number, "code": error.code, "zh": error.zh, "en": error.en})
    return last, findings


def _subject(client: Client, signer: Any, person_file: Path | None, person_service: str | None) -> Subject:
    """Return whose data was read, by the commitment of the auditing authority's service; nobody without one."""
    import secrets

    from sdk.documents import read_limited
    from sdk.persons.client import PersonClient
    from sdk.persons.numbers import NO_PERSON, PersonReference, normal_person
    from sdk.system_contracts.audits import Audits
    from verification.access.reads import SALT_BYTES, Subject

    found = PersonReference(NO_PERSON)
    if person_file is not None and person_service is not None:
        number = read_limited(person_file, MAX_PERSON_FILE_BYTES).decode("utf-8", "replace").strip()
        with PersonClient(person_service, client, signer, Audits(client).authority()) as persons:
            found = persons.find(normal_person(number))
    return Subject(found.commitment, found.sealed, secrets.token_bytes(SALT_BYTES))


def _draft(client: Client, department: str, grant: bytes, subject: Subject) -> ReadDraft:
    """Return a read under a grant of the ledger, of whichever side the department is; raise InputError where it is none."""
    import secrets
    import time

    from contracts.data_sharing.access import DENIED
    from sdk.system_contracts.sharing import Sharing
    from verification.access import reads
    from verification.errors import InputError

    granted = Sharing(client).data_request(grant)
    if department not in (granted.provider, granted.consumer):
        raise InputError(
            "NOT_A_PARTY",
            f"部门 {department} 不是授权 0x{grant.hex()} 的当事方",
            f"department {department} is no party of the grant 0x{grant.hex()}",
        )
    side = reads.PROVIDER_SIDE if department == granted.provider else reads.CONSUMER_SIDE
    salts = secrets.token_bytes(3 * reads.SALT_BYTES)
    now_ms = time.time_ns() // 1_000_000
    name = reads.read_id(grant, client.address, secrets.token_bytes(reads.READ_NONCE_BYTES))
    nothing = reads.NO_DIGEST
    return reads.ReadDraft(
        side,
        DENIED,
        subject,
        reads.SharingPart(grant, granted.resource, granted.provider, granted.consumer, client.address, "", salts[:16]),
        reads.CasePart(granted.purpose, "", "", nothing, salts[16:32]),
        reads.Details(name, "", (), 0, nothing, nothing, 0, 0, now_ms, now_ms, "", salts[32:]),
    )


def _filled(
    draft: ReadDraft,
    system: str,
    case: tuple[str, str],
    query: bytes,
    result: bytes | None,
    rows: int,
    refusal: str,
) -> ReadDraft:
    """Return the read with what the command line says of it."""
    import msgspec

    from contracts.data_sharing.access import DENIED, SERVED

    replace = msgspec.structs.replace
    details = replace(draft.details, query_digest=query, refusal=refusal)
    if result is not None:
        details = replace(details, result_digest=result, rows=rows)
    return replace(
        draft,
        outcome=DENIED if result is None else SERVED,
        sharing=replace(draft.sharing, system=system),
        case=replace(draft.case, case_type=case[0], case_number=case[1]),
        details=details,
    )


access.add_command(archive)
access.add_command(keep)
access.add_command(shown)
