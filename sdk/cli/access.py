"""govnode access: record a read of shared data."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_hex,
    key_options,
    open_client,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import fields, json_option, show


@click.group(cls=Group)
def access() -> None:
    """数据访问记录 / Access records."""


@access.command("record")
@click.argument("grant")
@click.option(
    "--person",
    required=True,
    help="被查询人的标识（只登记其密钥承诺）/ Whose data was read; a keyed commitment is recorded.",
)
@click.option(
    "--holder-secret",
    type=FILE,
    envvar=HOLDER_SECRET_VARIABLE,
    show_envvar=True,
    required=True,
    help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
)
@click.option("--system", required=True, help="业务系统 / The system that read.")
@click.option("--case", "case_number", required=True, help="办件编号 / Number of the case.")
@click.option("--query", required=True, help="查询内容（只登记其 SM3）/ What was asked; its SM3 is recorded.")
@click.option(
    "--result", type=FILE, help="返回内容的文件（只登记其 SM3）/ File with what came back; its SM3 is recorded."
)
@click.option("--rows", type=click.IntRange(0), default=1, show_default=True, help="返回条数 / Rows that came back.")
@click.option(
    "--outcome",
    type=click.Choice(["served", "denied", "irregular"]),
    default="served",
    show_default=True,
    help="结果 / What became of it.",
)
@url_option
@key_options
@json_option
def record(
    grant: str,
    person: str,
    holder_secret: Path,
    system: str,
    case_number: str,
    query: str,
    result: Path | None,
    rows: int,
    outcome: str,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """登记一次在授权 GRANT 下的读取 / Record one read under a grant, in the account's own stream."""
    from sdk.access import NO_RESULT, OUTCOME_CODES, Read, person_commitment, record_read
    from sdk.documents import document_digest
    from sm_crypto.sm3 import sm3

    if (result is None) != (outcome == "denied"):
        raise click.UsageError("除 denied 外须给出 --result / give --result, except for denied")
    read = Read(
        grant=check_hex("GRANT", grant, 32),
        person=person_commitment(read_holder_secret(holder_secret), person),
        system=system,
        case_number=case_number,
        query_digest=sm3(query.encode("utf-8")),
        result_digest=NO_RESULT if result is None else document_digest(result),
        rows=rows,
        outcome=OUTCOME_CODES[outcome],
    )
    with open_client(url, key, password_file) as client:
        recorded = record_read(client, read)
    shown = {"number": recorded.number, "digest": "0x" + recorded.digest.hex(), "height": recorded.receipt.height}
    text = fields(
        [
            ("序号 / number", recorded.number),
            ("摘要 / digest", recorded.digest.hex()),
            ("区块 / block", recorded.receipt.height),
        ]
    )
    show(shown, as_json, text)
