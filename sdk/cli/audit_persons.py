"""govnode audit person…: the auditing authority's commitments to persons, the service that departments get them from, and its counts."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.exchange import ENCRYPTION_PASSWORD, open_private_key
from sdk.cli.options import FILE, open_client, open_signer, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.persons.numbers import Person

DEFAULT_PORT: Final = 8_592
MAX_PERSON_FILE_BYTES: Final = 1_024
MAX_SEALED_FILE_BYTES: Final = 64 * 1024 * 1024
"""Of some hundred thousand sealed numbers in hex."""

_person_key_option = click.option(
    "--person-key",
    type=FILE,
    required=True,
    help="人员承诺的密钥文件（64 位十六进制，0600）/ File (0600) with the key of commitments, 64 hex digits.",
)
_former_keys_option = click.option(
    "--former-person-key",
    "former_keys",
    type=FILE,
    multiple=True,
    help="更换前的承诺密钥文件，供追溯以往记录，可多次给出 / Key file of before a renewal, for past records; repeatable.",
)


@click.command("person-key", cls=Command)
@click.argument("key_file", type=FILE)
def person_key(key_file: Path) -> None:
    """审计机关：生成人员承诺的密钥，写入 KEY_FILE / The authority: make the key of commitments to persons.

    须离线备份：丢失则以往的记录再不能按人追溯，泄露则可被枚举 / Keep a copy off line. Lost, past records cannot be traced by person any
    more; known to others, they can be tried out.
    """
    import secrets

    from sdk.persons.numbers import PERSON_KEY_BYTES
    from sdk.secret_files import write_secret

    if key_file.exists():
        raise InputError(
            "KEY_FILE_EXISTS", f"{key_file} 已存在，请另选文件名", f"{key_file} exists already; choose another name"
        )
    write_secret(key_file, secrets.token_hex(PERSON_KEY_BYTES))
    show({"key": str(key_file)}, False, fields([("密钥文件 / key file", key_file)]))


@click.command("person-service", cls=Command)
@_person_key_option
@_former_keys_option
@click.option(
    "--encryption-key",
    "encryption_keys",
    type=FILE,
    multiple=True,
    required=True,
    help="审计机关的加密密钥文件，可多次给出 / Key file of the authority's encryption key; repeatable.",
)
@click.option(
    "--encryption-password-file",
    type=FILE,
    help="其口令文件（0600）/ File (0600) with the password of --encryption-key.",
)
@click.option("--counts", type=FILE, required=True, help="计数文件，不存在则新建 / File of counts, made if absent.")
@click.option(
    "--per-minute",
    type=click.IntRange(1),
    default=6_000,
    show_default=True,
    help="每部门每分钟人数上限 / Persons a minute.",
)
@click.option(
    "--per-day",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="每部门每日人数上限 / Persons a day.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 / Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True, help="端口 / Port.")
@click.option(
    "--http-name",
    "http_names",
    multiple=True,
    help="请求中可用的主机名（含端口），可多次给出 / A name, with its port, that requests may be made out to; repeatable.",
)
@url_option
def person_service(
    person_key: Path,
    former_keys: tuple[Path, ...],
    encryption_keys: tuple[Path, ...],
    encryption_password_file: Path | None,
    counts: Path,
    per_minute: int,
    per_day: int,
    host: str,
    port: int,
    http_names: tuple[str, ...],
    url: str,
) -> None:
    """审计机关：人员承诺服务，直至 Ctrl-C / The authority: serve commitments to persons until Ctrl-C.

    供各部门记录账户（recorder）以签名请求查询，双向封装；只记人数，不留号码 / For recorders' accounts, by signed requests, sealed both
    ways. Counts are kept, numbers are not.
    """
    from sdk.cli.serving import serve_until_stopped
    from sdk.department_services.accounts import SignedCallers
    from sdk.persons.counts import CountBook, PersonLimits
    from sdk.persons.service import PersonDesk, make_person_service
    from sdk.system_contracts.audits import Audits

    person_keys = _load_person_keys(person_key, former_keys)
    keys = [open_private_key(path, encryption_password_file, ENCRYPTION_PASSWORD) for path in encryption_keys]
    with open_client(url) as client:
        book = CountBook(counts, PersonLimits(per_minute, per_day))
        try:
            desk = PersonDesk(client, person_keys, keys, book)
            authority = Audits(client).authority()
            if not authority:
                raise InputError(
                    "AUTHORITY_NOT_NAMED",
                    "账本上尚未指定审计机关，请治理方先指定",
                    "no auditing authority is named on the ledger yet: a governor does",
                )
            desk.check_keys(authority)
            callers = SignedCallers(client, frozenset(http_names))
            serve_until_stopped(make_person_service(desk, callers), host, port)
        finally:
            book.close()


@click.command("person", cls=Command)
@click.option(
    "--person-key", type=FILE, help="审计机关：人员承诺的密钥文件 / The authority: file with the key of commitments."
)
@_former_keys_option
@click.option("--service", help="其他审计方：人员承诺服务的地址 / Other auditors: address of the person service.")
@click.option(
    "--person-file",
    type=FILE,
    help="文件，内为证件号码；不给则提示输入，不回显 / File with the person's number; asked for, unseen, when absent.",
)
@click.option("--code-type", default="111", show_default=True, help="证件类型代码 / Kind of the number.")
@click.option("--basis", default="", help="查询依据，与 --service 同用 / The query's mandate, with --service.")
@url_option
@click.option("--key", type=FILE, help="审计账户密钥文件，与 --service 同用 / An auditor's key file, with --service.")
@click.option("--password-file", type=FILE, help="其口令文件（0600）/ File (0600) with its password.")
@json_option
def person(
    person_key: Path | None,
    former_keys: tuple[Path, ...],
    service: str | None,
    person_file: Path | None,
    code_type: str,
    basis: str,
    url: str,
    key: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """计算一人的承诺，供按人追溯 / Compute the commitment to a person, to trace reads by.

    审计机关用 --person-key；其他审计方用 --service、--key 与 --basis，查询先上链登记 / The authority has --person-key. Other auditors give
    --service, --key and --basis: their query is recorded on the ledger first.
    """
    from sdk.persons.numbers import normal_person, person_commitment

    if person_key is not None and service is None:
        found = normal_person(_read_number(person_file), code_type)
        commitments = [person_commitment(secret, found) for secret in _load_person_keys(person_key, former_keys)]
    elif person_key is None and service is not None and key is not None and not former_keys:
        found = normal_person(_read_number(person_file), code_type)
        commitments = _ask_service(service, url, key, password_file, basis, found)
    else:
        raise click.UsageError("给出 --person-key，或 --service 与 --key / give --person-key, or --service and --key")
    present, *former = [commitment.hex() for commitment in commitments]
    lines: list[tuple[str, object]] = [("承诺 / commitment", present)]
    lines += [("更换前 / before a renewal", one) for one in former]
    show({"person": present, "former": former}, as_json, fields(lines))


def _load_person_keys(person_key: Path, former_keys: tuple[Path, ...]) -> list[bytes]:
    """Return the authority's keys for commitments, the present one first; raise InputError where they are too many or one twice."""
    from sdk.persons.exchange import MAX_PERSON_KEYS
    from sdk.secret_files import load_holder_secret

    found = [load_holder_secret(path) for path in (person_key, *former_keys)]
    if len(set(found)) < len(found) or len(found) > MAX_PERSON_KEYS:
        raise InputError(
            "PERSON_KEYS_INVALID",
            f"现用与更换前的承诺密钥应各不相同，至多 {MAX_PERSON_KEYS} 把",
            f"expected at most {MAX_PERSON_KEYS} different keys of commitments, the present one and former ones",
        )
    return found


def _read_number(person_file: Path | None) -> str:
    """Return a person's number from a file or, unseen, from a terminal: never from the command line, which every user can see."""
    from sdk.documents import read_limited

    if person_file is not None:
        return read_limited(person_file, MAX_PERSON_FILE_BYTES).decode("utf-8", "replace")
    if sys.stdin.isatty():
        return getpass.getpass("证件号码 / Number: ")
    raise InputError(
        "PERSON_MISSING", "请用 --person-file 指明证件号码的文件", "name the file of the number with --person-file"
    )


def _ask_service(
    service: str, url: str, key: Path, password_file: Path | None, basis: str, person: Person
) -> list[bytes]:
    """Return the service's commitments, the present key's first, asked for by an auditor whose query is on the ledger before."""
    import secrets

    from sdk.access_audit.traces import record_query
    from sdk.client import Client
    from sdk.persons.client import PersonClient
    from sdk.persons.exchange import QUERY_SALT_BYTES, PersonQuery, person_query_digest
    from sdk.system_contracts.audits import Audits

    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        salt = secrets.token_bytes(QUERY_SALT_BYTES)
        query = PersonQuery(record_query(client, "person", person_query_digest(salt, (person,)), basis), salt)
        with PersonClient(service, client, signer, Audits(client).authority(), query=query) as asking:
            return [one.commitments[0] for one in asking.all_commitments([person])]


@click.command("person-open", cls=Command)
@click.argument("sealed_file", type=FILE)
@_person_key_option
@click.option(
    "--encryption-key",
    "encryption_keys",
    type=FILE,
    multiple=True,
    required=True,
    help="审计机关的加密密钥文件，可多次给出 / Key file of the authority's encryption key; repeatable.",
)
@click.option(
    "--encryption-password-file",
    type=FILE,
    help="其口令文件（0600）/ File (0600) with the password of --encryption-key.",
)
@json_option
def person_open(
    sealed_file: Path,
    person_key: Path,
    encryption_keys: tuple[Path, ...],
    encryption_password_file: Path | None,
    as_json: bool,
) -> int:
    """审计机关：把记录中封装的号码换成承诺 / The authority: turn the sealed numbers of records into commitments.

    SEALED_FILE 每行一个十六进制；打不开的行为空，退出状态为 1；号码不显示 / One in hex a line. Lines that do not open are left empty, and
    the exit status is 1. Numbers are not shown.
    """
    from sdk.documents import read_limited
    from sdk.persons.numbers import commit_sealed
    from sdk.secret_files import load_holder_secret
    from sm_crypto.errors import DecryptionFailed

    secret = load_holder_secret(person_key)
    keys = [open_private_key(path, encryption_password_file, ENCRYPTION_PASSWORD) for path in encryption_keys]
    found = []
    for line in read_limited(sealed_file, MAX_SEALED_FILE_BYTES).decode("ascii", "replace").split():
        try:
            found.append(commit_sealed(secret, keys, bytes.fromhex(line.removeprefix("0x"))).hex())
        except (DecryptionFailed, ValueError):
            found.append("")
    rows = [(str(number), commitment) for number, commitment in enumerate(found, 1)]
    show({"persons": found}, as_json, table(("行 / line", "承诺 / commitment"), rows))
    return 0 if all(found) else EXIT_REFUSED


@click.command("person-counts", cls=Command)
@click.argument("counts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def person_counts(counts: Path, as_json: bool) -> None:
    """审计机关：各部门每日查询的人数 / The authority: how many persons each department asked for, day by day."""
    import msgspec

    from sdk.persons.counts import CountBook, PersonLimits

    book = CountBook(counts, PersonLimits())
    try:
        days = book.days()
    finally:
        book.close()
    headings = (
        "日期 / day",
        "部门 / department",
        "账户 / account",
        "请求 / requests",
        "人数 / persons",
        "超限 / over the limit",
    )
    rows = [
        (one.day, one.department, one.account, str(one.requests), str(one.persons), str(one.refused)) for one in days
    ]
    show({"items": [msgspec.to_builtins(one) for one in days]}, as_json, table(headings, rows))
