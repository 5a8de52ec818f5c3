"""govnode exchange: payloads between departments, sealed from point to point, and their digests on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import (
    FILE,
    FOLDER,
    PASSWORD_OPTION,
    check_hex,
    key_options,
    open_client,
    open_signer,
    read_new_password,
    read_password,
    url_option,
)
from sdk.cli.output import fields, json_option, show, show_progress, table

if TYPE_CHECKING:
    from contracts.data_sharing.deliveries import DeliveryRecord
    from sm_crypto.sm2 import PrivateKey

DEFAULT_PORT: Final = 8_591
MAX_LISTED: Final = 1_000
DEFAULT_SHARE_GIB: Final = 64
MAX_SHARE_GIB: Final = 1_048_576

ENCRYPTION_PASSWORD: Final = "--encryption-password-file"  # noqa: S105 - the name of an option, not a password

_encryption_password_option = click.option(
    ENCRYPTION_PASSWORD,
    type=FILE,
    help="加密密钥的口令文件（0600）；不给则提示输入 / File (0600) with the encryption key's password; asked for when absent.",
)
_number_argument = click.argument("number", type=click.IntRange(1, 2**63 - 1))


@click.group(cls=Group)
def exchange() -> None:
    """部门间交换数据 / Exchange payloads between departments."""


@exchange.command("key")
@click.argument("key_file", type=FILE)
@_encryption_password_option
@url_option
@key_options
@json_option
def key_command(
    key_file: Path,
    encryption_password_file: Path | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """登记本部门的加密密钥，KEY_FILE 不存在则生成 / Register the department's encryption key, made where KEY_FILE is not there.

    由本部门管理账户（administrator）或治理账户（governor）执行；旧密钥文件须保留，才能打开以前收到的文件 / By an account of the department,
    administrator or governor. Keep older key files: what was sealed to them opens with nothing else.
    """
    from sdk.data_exchange.exchange import set_encryption_key
    from sm_crypto.keystore import save_key
    from sm_crypto.sm2 import PrivateKey

    if not key_file.exists():
        save_key(key_file, PrivateKey.generate(), read_new_password(encryption_password_file, ENCRYPTION_PASSWORD))
    private_key = open_private_key(key_file, encryption_password_file, ENCRYPTION_PASSWORD)
    with open_client(url, key, password_file) as client:
        record = set_encryption_key(client, private_key)
    shown = {"department": record.department, "number": record.number, "public_key": record.public_key.hex()}
    text = fields(
        [
            ("部门 / department", record.department),
            ("加密密钥 / encryption key", f"#{record.number}"),
            ("公钥 / public key", record.public_key.hex()),
            ("密钥文件 / key file", key_file),
        ]
    )
    show(shown, as_json, text)


@exchange.command("send")
@click.argument("source", type=FILE)
@click.option("--grant", required=True, help="授权标识 / Id of the grant.")
@click.option("--rows", type=click.IntRange(0, 10**12), default=0, show_default=True, help="行数 / Rows in it.")
@click.option("--out", type=FILE, required=True, help="封装后的文件 / The sealed file.")
@click.option(
    "--to", "inbox", help="使用方收件服务的地址；不给则自行送达 / Address of the consumer's inbox; else you carry it."
)
@url_option
@key_options
@json_option
def send(
    source: Path,
    grant: str,
    rows: int,
    out: Path,
    inbox: str | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """提供方：封装文件 SOURCE、登记交付并发送 / The provider: seal a file, record its delivery, and send it.

    由本部门记录账户（recorder）执行；中断后以同样的参数再次执行即可继续 / By a recorder's account. After a crash run the same again: what
    is sealed, recorded or sent stays so.
    """
    from contracts.data_sharing.deliveries import UNANSWERED
    from sdk.client import Client
    from sdk.data_exchange.exchange import record_delivery, seal_payload
    from sdk.data_exchange.sending import send_file

    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        waybill = seal_payload(client, source, out, check_hex("--grant", grant, 32), rows)
        delivery = record_delivery(client, waybill)
        is_sent = inbox is not None and delivery.answer == UNANSWERED
        if inbox is not None and is_sent:
            total = waybill.sealed_size

            def tell(size: int) -> None:
                if not as_json:
                    show_progress(f"{size * 100 // max(1, total)}% / {total} 字节 bytes")

            send_file(inbox, client, signer, out, waybill, tell)
    shown = _shown(delivery) | {"sealed_file": str(out), "sent": is_sent}
    text = _described(delivery) + "\n" + fields([("封装文件 / sealed file", out)])
    if inbox is not None and not is_sent:
        text += "\n使用方已答复，未再发送 / the consumer has answered: not sent again"
    show(shown, as_json, ("\n" if is_sent and not as_json else "") + text)


@exchange.command("receive")
@click.argument("source", type=FILE)
@click.option("--out", type=FILE, required=True, help="打开后的文件 / The opened file.")
@click.option(
    "--encryption-key", type=FILE, required=True, help="信封所指的加密密钥文件 / Key file that it is sealed to."
)
@click.option(
    "--unacknowledged",
    is_flag=True,
    help="只打开核对，不签收，之后再签收或以 answer 答复 / Open and compare it only; acknowledge it, or answer otherwise, afterwards.",
)
@_encryption_password_option
@url_option
@key_options
@json_option
def receive(
    source: Path,
    out: Path,
    encryption_key: Path,
    unacknowledged: bool,
    encryption_password_file: Path | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """使用方：打开文件 SOURCE、与账本核对并签收 / The consumer: open a file, compare it with the ledger, and answer that it came.

    由本部门记录或申请账户（recorder、requester）执行；不符或已另行答复的不写出，也不签收；先看内容再定，加 --unacknowledged / By a
    recorder's or requester's account. Where it differs, or was answered for otherwise, nothing is written and nothing answered. To look
    at it before you decide, add --unacknowledged.
    """
    from sdk.data_exchange.exchange import receive_payload

    private_key = open_private_key(encryption_key, encryption_password_file, ENCRYPTION_PASSWORD)
    with open_client(url, key, password_file) as client:
        received = receive_payload(client, private_key, source, out, acknowledges=not unacknowledged)
    delivery, is_now = received.delivery, received.is_acknowledged_now
    shown = _shown(delivery) | {"name": received.note.name, "out": str(out), "acknowledged_now": is_now}
    answered = (
        [] if is_now else [("签收 / acknowledged", "本次未签收 / not by this command"), *_answer_fields(delivery)]
    )
    text = fields(
        [
            ("提供方 / provider", delivery.provider),
            ("名称 / name", received.note.name),
            ("行数 / rows", received.note.rows),
            ("字节 / bytes", delivery.parcel.size),
            *answered,
            ("已签收，文件 / received, file" if is_now else "已打开，文件 / opened, file", out),
        ]
    )
    show(shown, as_json, text)


@exchange.command("answer")
@click.argument("grant")
@_number_argument
@click.option("--differs", metavar="DIGEST", help="内容不符，收到的摘要 / Something else came: the digest of that.")
@click.option("--not-taken", is_flag=True, help="拒收 / It is not taken.")
@click.option("--note", required=True, help="说明，至多 200 字 / Why, up to 200 characters.")
@url_option
@key_options
@json_option
def answer(
    grant: str,
    number: int,
    differs: str | None,
    not_taken: bool,
    note: str,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """使用方：答复交付有误 / The consumer: answer that a delivery differs from its record, or is not taken."""
    from contracts.data_sharing.deliveries import DIFFERS, NOT_TAKEN
    from sdk.system_contracts.deliveries import Deliveries

    if (differs is None) != not_taken:
        raise click.UsageError("给出 --differs 或 --not-taken 之一 / give one of --differs and --not-taken")
    name = check_hex("GRANT", grant, 32)
    found = bytes(32) if differs is None else check_hex("--differs", differs, 32)
    with open_client(url, key, password_file) as client:
        ledger = Deliveries(client)
        chosen = NOT_TAKEN if differs is None else DIFFERS
        ledger.answer(grant=name, number=number, answer=chosen, received=found, note=note)
        delivery = ledger.delivery(grant=name, number=number)
    show(_shown(delivery), as_json, _described(delivery))


@exchange.command("show")
@click.argument("source", type=FILE)
@url_option
@json_option
def show_file(source: Path, url: str, as_json: bool) -> None:
    """查看交换文件的信封与账本登记 / Show an exchange file's envelope, and what the ledger has of it."""
    from sdk.data_exchange.exchange import find_delivery
    from sdk.data_exchange.files import read_envelope
    from sdk.documents import unreadable

    try:
        with source.open("rb") as file:
            envelope = read_envelope(file)
    except OSError as error:
        raise unreadable(source, error) from None
    with open_client(url) as client:
        delivery = find_delivery(client, envelope)
    show(_shown(delivery), as_json, _described(delivery))


@exchange.command("list")
@click.argument("grant")
@url_option
@json_option
def list_deliveries(grant: str, url: str, as_json: bool) -> None:
    """列出一项授权下最近的交付 / List the latest deliveries under a grant, the newest first."""
    from contracts.data_sharing.deliveries import ANSWERS
    from sdk.system_contracts.deliveries import Deliveries
    from verification.days import show_time

    name = check_hex("GRANT", grant, 32)
    with open_client(url) as client:
        ledger = Deliveries(client)
        count = ledger.deliveries(name).count
        numbers = range(count, max(0, count - MAX_LISTED), -1)
        found = [ledger.delivery(grant=name, number=number) for number in numbers]
    headings = (
        *("序号 / no.", "时间 / time", "行数 / rows", "字节 / bytes", "答复 / answer", "说明 / note"),
        "收到的摘要（不符时）/ digest of what came, where it differs",
    )
    rows = [
        (
            str(one.number),
            show_time(one.delivered_ms),
            str(one.parcel.rows),
            str(one.parcel.size),
            " / ".join(ANSWERS[one.answer]),
            one.note,
            _differing_digest(one),
        )
        for one in found
    ]
    show({"count": count, "items": [_shown(one) for one in found]}, as_json, table(headings, rows))


@exchange.command("inbox")
@click.argument("folder", type=FOLDER)
@click.option("--department", required=True, help="本部门代码 / Code of the department that files are for.")
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 / Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True, help="端口 / Port.")
@click.option(
    "--provider-gib",
    type=click.IntRange(1, MAX_SHARE_GIB),
    default=DEFAULT_SHARE_GIB,
    show_default=True,
    help="每个提供方的文件至多占用（GiB）/ How much of the disk one provider's files may take, GiB.",
)
@click.option(
    "--http-name",
    "http_names",
    multiple=True,
    help="请求中可用的主机名（含端口），可多次给出 / A name, with its port, that requests may be made out to; repeatable.",
)
@url_option
def inbox(
    folder: Path, department: str, host: str, port: int, provider_gib: int, http_names: tuple[str, ...], url: str
) -> None:
    """使用方：收件服务，文件按提供方存入 FOLDER，直至 Ctrl-C / The consumer: take files into FOLDER, by provider, until Ctrl-C.

    只收账本登记给本部门的文件，由其提供方签名发送；对外须置于 TLS 代理之后；七天无续传的半成品自动清除 / Takes only files that the
    ledger has for this department, signed by their providers. Put a TLS proxy before it. What nobody has gone on with for seven days is
    removed.
    """
    from sdk.cli.serving import serve_until_stopped
    from sdk.data_exchange.inbox import GIB, Inbox
    from sdk.data_exchange.inbox_service import make_inbox
    from sdk.department_services.accounts import SignedCallers
    from sdk.secret_files import SECRET_FOLDER_MODE

    folder.mkdir(mode=SECRET_FOLDER_MODE, parents=True, exist_ok=True)
    with open_client(url) as client:
        callers = SignedCallers(client, frozenset(http_names))
        taken = Inbox(client, department, folder, provider_gib * GIB)
        taken.remove_leftovers()
        serve_until_stopped(make_inbox(taken, callers), host, port)


def open_private_key(path: Path, password_file: Path | None, option: str = PASSWORD_OPTION) -> PrivateKey:
    """Return the private key in an encryption key's file; `option` is the one that names the password's file."""
    from sm_crypto.keystore import load_private_key

    return load_private_key(
        path, read_password(password_file, f"{path.name} 的口令 / Password of {path.name}: ", option)
    )


def _shown(delivery: DeliveryRecord) -> dict[str, Any]:
    from contracts.data_sharing.deliveries import ANSWERS
    from node.http.json_form import to_json

    zh, en = ANSWERS[delivery.answer]
    return {**to_json(delivery), "answer_text": {"zh": zh, "en": en}}


def _answer_fields(delivery: DeliveryRecord) -> list[tuple[str, object]]:
    """Return what the consumer answered, when, and why, as lines to print."""
    from contracts.data_sharing.deliveries import ANSWERS
    from verification.days import show_time

    return [
        ("答复 / answer", " / ".join(ANSWERS[delivery.answer])),
        ("收到的摘要 / digest of what came", _differing_digest(delivery) or None),
        ("答复时间 / answered", show_time(delivery.answered_ms) if delivery.answered_ms else None),
        ("说明 / note", delivery.note or None),
    ]


def _differing_digest(delivery: DeliveryRecord) -> str:
    """Return what the consumer says that came instead; empty but for an answer that it differs."""
    from contracts.data_sharing.deliveries import DIFFERS

    return delivery.received.hex() if delivery.answer == DIFFERS else ""


def _described(delivery: DeliveryRecord) -> str:
    from verification.days import show_time

    return fields(
        [
            ("授权 / grant", delivery.grant.hex()),
            ("交付序号 / delivery", delivery.number),
            ("提供方 / provider", delivery.provider),
            ("使用方 / consumer", delivery.consumer),
            ("载荷摘要 / payload digest", delivery.parcel.payload.hex()),
            ("行数 / rows", delivery.parcel.rows),
            ("字节 / bytes", delivery.parcel.size),
            ("登记 / recorded", show_time(delivery.delivered_ms)),
            *_answer_fields(delivery),
        ]
    )
