"""govnode cert authorise, withdraw, authorisations and fetch: who may have a certificate instead of a paper copy, and what was fetched."""

from __future__ import annotations

import getpass
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_hex,
    day_end,
    day_start,
    key_options,
    open_client,
    open_signer,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import fields, json_option, show
from sdk.cli.status_list import TRUST_VARIABLE
from verification.errors import InputError
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sdk.certificate_sharing.asking import FetchedCertificate

MAX_HOLDER_CODE_FILE_BYTES: Final = 1_024
F = TypeVar("F", bound=Callable[..., Any])
ID_DIGITS: Final = 64

_service_option = click.option(
    "--service", help="颁发机构领取服务的地址 / Address of the issuer's service (govnode cert serve)."
)


def statement_options(command: F) -> F:
    """Add what a holder allows."""
    options = (
        click.option("--recipient", required=True, help="领取部门的代码 / Code of the department that may fetch."),
        click.option("--purpose", required=True, help="用途，仅此一项 / The one purpose."),
        click.option(
            "--show", "names", multiple=True, help="准许出示的字段，可多次给出 / A field it may see; repeatable."
        ),
        click.option(
            "--attachment",
            "attachments",
            multiple=True,
            help="准许领取的附件，可多次给出 / An attachment it may have; repeatable.",
        ),
        click.option("--from", "from_day", help="自哪一天起 YYYY-MM-DD；不给为现在 / The first day; now when absent."),
        click.option("--until", "until_day", required=True, help="到哪一天止 YYYY-MM-DD / The last day."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def holding_options(command: F) -> F:
    """Add where an issuer keeps its documents and its holders' authorisations."""
    folder = click.Path(file_okay=False, exists=True, path_type=Path)
    options = (
        click.option(
            "--store",
            type=FILE,
            required=True,
            help="授权库文件；没有则新建 / File with the holders' authorisations; made when absent.",
        ),
        click.option(
            "--archive",
            "archives",
            type=FILE,
            multiple=True,
            help="批次档案，可多次给出 / Archive of a batch; repeatable.",
        ),
        click.option(
            "--documents",
            type=folder,
            help="单份证照文件的文件夹，文件名须为 完整证照标识.json / "
            "Folder of documents, each called IDENTIFIER.json with the whole identifier.",
        ),
        click.option(
            "--files",
            type=folder,
            help="附件文件夹，文件名为其 SM3 / Folder of attached files called by their SM3, such as 66c7….ofd.",
        ),
        click.option(
            "--holder-secret",
            type=FILE,
            envvar=HOLDER_SECRET_VARIABLE,
            show_envvar=True,
            required=True,
            help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("authorise", cls=Command)
@click.argument("document", type=FILE)
@statement_options
@click.option(
    "--fetches", type=click.IntRange(1, 1_000), default=1, show_default=True, help="至多领取几次 / How often at most."
)
@click.option(
    "--out", type=FILE, help="写入授权声明的文件，不得已存在 / The file to write the statement to; must not exist."
)
@_service_option
@url_option
@key_options
@json_option
def authorise(
    document: Path,
    recipient: str,
    purpose: str,
    names: tuple[str, ...],
    attachments: tuple[str, ...],
    from_day: str | None,
    until_day: str,
    fetches: int,
    out: Path | None,
    service: str | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """持证人授权一个部门为一项用途领取证照 DOCUMENT / Holder: let one department fetch a certificate for one purpose.

    --key 为证照登记的持证人密钥；给出 --service 则直接交颁发机构登记 / --key is the holder key that the document names; with --service the
    statement goes to the issuer, who records it on the ledger.
    """
    from sdk.certificate_sharing.asking import send_authorisation
    from sdk.certificate_sharing.statements import genesis_of, next_number
    from sdk.documents import read_limited, write_new
    from verification.authorisations import make_authorisation, sign_authorisation
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, decode_document, encode_file

    if out is None and service is None:
        raise click.UsageError("给出 --out 或 --service / give --out or --service")
    opened = decode_document(read_limited(document, MAX_DOCUMENT_FILE_BYTES))
    signer = open_signer(key, password_file)
    with open_client(url) as client:
        statement = make_authorisation(
            opened,
            genesis=genesis_of(client),
            number=next_number(client, opened),
            recipient=recipient,
            purpose=purpose,
            fields=names,
            attachments=attachments,
            from_ms=_begin(from_day),
            to_ms=day_end("--until", until_day),
            max_fetches=fetches,
            salt=secrets.token_bytes(32),
        )
    statement = sign_authorisation(statement, opened.core, signer)
    if out is not None:
        write_new(out, encode_file(statement))
    if service is not None:
        send_authorisation(service, statement)
    shown = {"id": statement.id, "issuer": opened.core.issuer_code, "is_recorded": service is not None}
    text = fields(
        [
            ("授权编号 / id", statement.id),
            ("准许部门 / recipient", recipient),
            ("用途 / purpose", purpose),
            ("账本 / ledger", "已登记 / recorded" if service is not None else "尚未登记 / not recorded yet"),
            ("文件 / file", out),
        ]
    )
    show({**shown, "out": None if out is None else str(out)}, as_json, text)


@click.command("one-time-code", cls=Command)
@click.argument("identifier")
@statement_options
@holding_options
@url_option
@key_options
@json_option
def one_time_code(
    identifier: str,
    recipient: str,
    purpose: str,
    names: tuple[str, ...],
    attachments: tuple[str, ...],
    from_day: str | None,
    until_day: str,
    store: Path,
    archives: tuple[Path, ...],
    documents: Path | None,
    files: Path | None,
    holder_secret: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """颁发机构为没有密钥的持证人登记授权，并给出一次性授权码 / Issuer: record what a holder without a key allows, and show a one-time code.

    先按本机构的办法核实持证人身份；授权码只显示这一次 / First make sure, by other means, who the holder is. The code is shown this once.
    """
    from sdk.certificate_sharing.holdings import Holdings
    from sdk.certificate_sharing.statements import Statements, make_code
    from sdk.certificate_sharing.store import SharingStore

    code = make_code()
    holdings = Holdings(archives, documents, files, read_holder_secret(holder_secret))
    with open_client(url, key, password_file) as client:
        book = SharingStore(store)
        try:
            statement = Statements(client, holdings, book).authorise_by_code(
                identifier,
                code,
                recipient=recipient,
                purpose=purpose,
                fields=names,
                attachments=attachments,
                from_ms=_begin(from_day),
                to_ms=day_end("--until", until_day),
            )
        finally:
            book.close()
    text = fields(
        [
            ("授权编号 / id", statement.id),
            ("准许部门 / recipient", recipient),
            ("用途 / purpose", purpose),
            ("有效至 / until", until_day),
            ("一次性授权码 / one-time code", code),
        ]
    )
    show(
        {"id": statement.id, "code": code, "recipient": recipient, "purpose": purpose, "until": until_day},
        as_json,
        text,
    )


@click.command("withdraw", cls=Command)
@click.argument("authorisation")
@_service_option
@url_option
@key_options
@json_option
def withdraw(
    authorisation: str, service: str | None, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    """撤回授权：AUTHORISATION 为声明文件（持证人）或编号（颁发机构）/ Withdraw: by the statement's file (holder) or by the id (issuer).

    持证人须给出 --service / A holder needs --service. 此后不能再凭它领取 / Nothing is fetched under it any more.
    """
    from sdk.certificate_sharing.asking import send_withdrawal
    from sdk.documents import read_limited
    from sdk.system_contracts.authorisations import Authorisations
    from verification.authorisations import decode_authorisation, make_withdrawal, withdrawal_digest
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES

    now_ms = time.time_ns() // 1_000_000
    if service is not None:
        statement = decode_authorisation(read_limited(Path(authorisation), MAX_DOCUMENT_FILE_BYTES))
        send_withdrawal(service, make_withdrawal(statement, open_signer(key, password_file), now_ms))
        name = statement.id
    else:
        name = check_hex("AUTHORISATION", authorisation, ID_DIGITS // 2).hex()
        with open_client(url, key, password_file) as client:
            genesis = client.status()["genesis_hash"].removeprefix("0x")
            Authorisations(client).withdraw(
                authorisation=bytes.fromhex(name), withdrawal=withdrawal_digest(genesis, name, now_ms)
            )
    show({"id": name}, as_json, f"✓ 已撤回 / withdrawn: {name}")


@click.command("authorisations", cls=Command)
@click.argument("document", type=FILE)
@url_option
@json_option
def authorisations(document: Path, url: str, as_json: bool) -> None:
    """列出证照 DOCUMENT 的全部授权与领取记录 / List every authorisation of a certificate and every fetch under it.

    任何节点都可以问；只有持有证照文件的人能找到它们 / Any node will do; only who has the document can find them.
    """
    from contracts.authorisations import is_usable
    from node.http.json_form import to_json
    from sdk.certificate_sharing.statements import list_authorisations
    from sdk.documents import read_limited
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, decode_document
    from verification.days import show_time

    opened = decode_document(read_limited(document, MAX_DOCUMENT_FILE_BYTES))
    now_ms = time.time_ns() // 1_000_000
    lines, shown = [], []
    with open_client(url) as client:
        for number, (record, fetches) in enumerate(list_authorisations(client, opened)):
            usable = is_usable(record, now_ms)
            state = "可领取 / open" if usable else "已撤回 / withdrawn" if record.withdrawn_ms else "已结束 / over"
            lines.append(
                shown_line(
                    f"授权 / authorisation {number}  领取方 / recipient {record.recipient}  {state}  "
                    f"至 / until {show_time(record.to_ms)}  已领 / fetched {record.fetch_count}/{record.max_fetches}  "
                    f"编号 / id {record.id.hex()}"
                )
            )
            lines += [f"   领取 / fetched {show_time(one.fetched_ms)}  SM3 {one.result.hex()}" for one in fetches]
            entry = {**to_json(record), "number": number, "is_usable": usable}
            shown.append({**entry, "fetches": [to_json(one) for one in fetches]})
    show({"authorisations": shown}, as_json, "\n".join(lines or ["没有授权 / none"]))


@click.command("fetch", cls=Command)
@click.argument("authorisation", required=False)
@click.option(
    "--identifier",
    default="",
    help="证照标识，可代替授权编号 / The certificate's identifier, in place of the authorisation's id.",
)
@click.option("--service", required=True, help="颁发机构领取服务的地址 / Address of the issuer's service.")
@click.option(
    "--purpose", required=True, help="使用事由，与授权的用途一致 / The reason of use: the purpose that was authorised."
)
@click.option("--grant", required=True, help="两部门间的共享授权 / The sharing grant between the two departments.")
@click.option("--case", "case_number", required=True, help="办件编号 / Number of the case.")
@click.option("--system", required=True, help="业务系统 / The system that asks.")
@click.option(
    "--with-code", is_flag=True, help="输入持证人告知的一次性授权码 / Ask for the one-time code that the holder told."
)
@click.option(
    "--code-file",
    type=FILE,
    help="内有一次性授权码的文件（0600），代替输入 / File (0600) with the one-time code, in place of typing it.",
)
@click.option(
    "--trust",
    type=FILE,
    envvar=TRUST_VARIABLE,
    show_envvar=True,
    default=Path("trust.json"),
    show_default=True,
    help="信任文件，核验所得文件的签名 / The trust file: signatures are verified by it.",
)
@click.option(
    "--holder-code",
    default="",
    help="持证主体代码，用于核对，不用于个人 / The holder's code, to be compared; not a person's.",
)
@click.option(
    "--holder-code-file",
    type=FILE,
    help="同上，取自文件，用于个人的证件号码 / The same from a file, for persons' numbers.",
)
@click.option("--until", "until_day", default="", help="使用到哪一天 YYYY-MM-DD / The last day it is needed.")
@click.option(
    "--file-type",
    type=click.Choice(["json", "ofd", "pdf", "png"]),
    default="json",
    show_default=True,
    help="文件类型 / File type.",
)
@click.option("--request-id", default="", help="重发同一请求时给出其编号 / To send the same request again, its id.")
@click.option(
    "--out",
    type=FILE,
    required=True,
    help="写入加注件的文件，不得已存在 / The file to write the copy to; must not exist.",
)
@click.option(
    "--store",
    type=FILE,
    help="本方访问记录库；记录并上链 / The own side's store of reads: records there, and on the ledger.",
)
@url_option
@key_options
@json_option
def fetch(
    authorisation: str | None,
    with_code: bool,
    code_file: Path | None,
    holder_code: str,
    holder_code_file: Path | None,
    trust: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    out: Path,
    store: Path | None,
    as_json: bool,
    **said: Any,
) -> None:
    """凭持证人授权 AUTHORISATION 领取证照加注件 / Fetch an annotated copy of a certificate under its holder's authorisation.

    所得文件是所请求的、签名成立且与账本记录相符才写入 / The file is written only where it is what was asked for, its signatures hold, and
    the ledger has it so.
    """
    from sdk.certificate_sharing.asking import fetch_certificate
    from sdk.certificate_sharing.exchange import SharingRequest
    from sdk.certificate_sharing.recorded_fetch import fetch_recorded
    from sdk.cli.fetch_recording import own_recorder
    from sdk.client import Client
    from sdk.errors import NodeUnreachable
    from sdk.trust import load_trust

    if not authorisation and not said["identifier"]:
        raise click.UsageError("给出授权编号或 --identifier / give the authorisation's id or --identifier")
    if out.exists():
        raise InputError(
            "FILE_EXISTS", f"文件 {out} 已存在，请另选 --out", f"{out} exists already: choose another --out"
        )
    request_id = said["request_id"] or secrets.token_hex(16)
    asked = SharingRequest(
        use_cause=said["purpose"],
        grant=check_hex("--grant", said["grant"], 32).hex(),
        case_number=said["case_number"],
        system=said["system"],
        request_id=check_hex("--request-id", request_id, 16).hex(),
        access_token=check_hex("AUTHORISATION", authorisation, 32).hex() if authorisation else "",
        cert_identifier=said["identifier"],
        holder_code=_read_holder_code(holder_code, holder_code_file),
        expiry_time=said["until_day"],
        file_type=said["file_type"],
        code=_read_code(with_code, code_file),
    )
    roots = load_trust(trust).roots()
    signer = open_signer(key, password_file)
    notes: list[tuple[str, object]] = []
    with Client(url, signer) as client, own_recorder(store, client, notes) as recorder:
        try:
            if recorder is None:
                found = fetch_certificate(said["service"], client, signer, asked, roots)
            else:
                found = fetch_recorded(said["service"], client, signer, asked, roots, recorder)
        except NodeUnreachable as error:
            # The issuer may have recorded it: sent as it was, it is answered and counts once.
            again = f"--request-id {asked.request_id}"
            raise NodeUnreachable(
                error.code, f"{error.zh}；重发时加上 {again}", f"{error.en}; to send it again add {again}"
            ) from None
        is_open = None if store is None else not notes
        written = _write(found, out, said["file_type"])
    shown = {"request_id": asked.request_id, "files": written, "is_open_to_audits": is_open}
    _show_fetched(found, shown, notes, as_json)


def _write(found: FetchedCertificate, out: Path, file_type: str) -> list[str]:
    """Write the copy, and the attached file beside it; return their paths."""
    from sdk.documents import write_new

    write_new(out, found.raw)
    written = [str(out)]
    for shared in found.answer.files[1:]:
        beside = out.with_suffix(f".{file_type}")
        write_new(beside, shared.data())
        written.append(str(beside))
    return written


def _show_fetched(
    found: FetchedCertificate, said: dict[str, Any], notes: list[tuple[str, object]], as_json: bool
) -> None:
    core = found.copy.original.core
    values = {core.fields[one.position].name: one.value for one in found.copy.original.fields}
    answer = found.answer
    text = fields(
        [
            ("证照标识 / identifier", core.identifier),
            *values.items(),
            ("状态 / status", answer.status),
            (
                "账本 / ledger",
                f"第 {answer.fetch_number} 次领取，区块 {answer.height} / fetch {answer.fetch_number}, block {answer.height}",
            ),
            ("访问记录 / access record", answer.access_number),
            ("文件 / files", "、".join(said["files"])),
            *notes,
        ]
    )
    shown = {
        "identifier": core.identifier,
        "values": values,
        "status": answer.status,
        "fetch_number": answer.fetch_number,
        "height": answer.height,
    }
    show({**shown, "access_number": answer.access_number, **said}, as_json, text)


def _begin(day: str | None) -> int:
    return day_start("--from", day) if day else time.time_ns() // 1_000_000


def _read_holder_code(typed: str, file: Path | None) -> str:
    """Return the holder's code, empty where none is given; raise InputError where a person's number stands on the command line."""
    from sdk.documents import read_limited
    from sdk.identity_numbers import has_resident_number

    if file is not None:
        if typed:
            raise click.UsageError(
                "--holder-code 与 --holder-code-file 只给一个 / give one of --holder-code and --holder-code-file"
            )
        return read_limited(file, MAX_HOLDER_CODE_FILE_BYTES).decode("utf-8", "replace").strip()
    if has_resident_number(typed):
        raise InputError(
            "IDENTITY_NUMBER",
            "命令行中有公民身份号码，同机的人都能看到：请写入文件，用 --holder-code-file 给出",
            "there is an identity number on the command line, where everybody on this machine sees it: use --holder-code-file",
        )
    return typed


def _read_code(is_asked: bool, file: Path | None) -> str:
    """Return the one-time code in a file or as it is typed, empty where there is none; the command line is seen by every user."""
    if file is not None:
        from node.config import read_password_file

        return read_password_file(file).decode("utf-8", "replace")
    if not is_asked:
        return ""
    if not sys.stdin.isatty():
        raise InputError(
            "CODE_MISSING",
            "没有终端可以输入一次性授权码，请用 --code-file 指明文件",
            "no terminal to type the one-time code at: name its file with --code-file",
        )
    return getpass.getpass("一次性授权码 / One-time code: ").strip()
