"""govnode access record: reads that a department records without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, check_hex, key_options, open_signer, url_option
from sdk.cli.output import fields, json_option, show

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.access.reads import Subject

MAX_PERSON_FILE_BYTES: Final = 1_024


@click.command("record", cls=Command)
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
    help="查询内容的文件，只登记以随机数为密钥的摘要 / File with what was asked; a digest keyed by a nonce is recorded.",
)
@click.option(
    "--result",
    type=FILE,
    help="返回内容的文件，只登记以随机数为密钥的摘要 / File with what came back; a digest keyed by a nonce is recorded.",
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

    网关会自动登记；此命令供没有网关的系统使用。请保存随机数：凭它才能证明查询与返回的内容 / A gateway records by itself; this is for
    systems without one. Keep the nonce: only with it can be shown what was asked and what came back.
    """
    import time

    from sdk.access_recording.anchorer import Anchorer
    from sdk.access_recording.keeping import open_recorder, policy_of_stream
    from sdk.access_recording.stated_reads import Statement, state_read
    from sdk.cli.access_keep import audit_lines
    from sdk.client import Client
    from sdk.documents import document_digest
    from sdk.system_contracts.sharing import Sharing

    if (result is None) != (refusal is not None):
        raise click.UsageError("--result 与 --refusal 给出其一 / give one of --result and --refusal")
    if (person_file is None) != (person_service is None):
        raise click.UsageError("--person-file 须与 --person-service 同用 / --person-file needs --person-service")
    digests = (document_digest(query), None if result is None else document_digest(result))
    said = Statement(system, case_type, case_number, *digests, rows, refusal or "")
    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        department = client.own_department()
        granted = Sharing(client).data_request(check_hex("GRANT", grant, 32))
        subject = _subject(client, signer, person_file, person_service)
        stated = state_read(granted, department, client.address, subject, said, time.time_ns() // 1_000_000)
        policy = policy_of_stream(client, department)
        notes = audit_lines(policy, reads)
        with open_recorder(reads, client, department, policy) as recorder:
            recorded = recorder.record(stated.draft)
            anchorer = Anchorer(recorder, client)
            anchorer.anchor_all()
            batch = recorder.store.last_recorded()
            height = 0 if batch is None else recorder.store.height_of(batch.batch_number)
    text = fields(
        [
            ("序号 / number", recorded.number),
            ("摘要 / digest", recorded.digest.hex()),
            ("随机数 / nonce", stated.nonce.hex()),
            ("区块 / block", height),
            *notes,
        ]
    )
    shown = {"number": recorded.number, "digest": "0x" + recorded.digest.hex(), "nonce": stated.nonce.hex()}
    show({**shown, "height": height, "is_open_to_audits": not notes}, as_json, text)


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
