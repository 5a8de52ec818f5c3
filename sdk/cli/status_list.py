"""govnode cert status-list: make, sign, publish, fetch and check the lists of what is no longer in force."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, key_options, open_client, open_signer, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, table

if TYPE_CHECKING:
    from verification.freshness import ListTrust
    from verification.status_list import StatusListFile

TRUST_VARIABLE: Final = "GOVNODE_TRUST"

F = TypeVar("F", bound=Callable[..., Any])
_list_argument = click.argument("status_list", metavar="LIST", type=FILE)
_scope_argument = click.argument("scope")
_out_option = click.option(
    "--out", type=FILE, required=True, help="写入的文件，已存在则替换 / The file to write; an older one is replaced."
)


def list_trust_options(command: F) -> F:
    """Add --list-from: whose lists are taken."""
    return click.option(
        "--list-from",
        "departments",
        multiple=True,
        metavar="CODE",
        help="采信哪些部门签发的状态清单，缺省仅颁发机构，可多次给出 / Whose lists are taken: the issuer's when absent; repeatable.",
    )(command)


@click.group("status-list", cls=Group)
def status_list_group() -> None:
    """状态清单：整份下载，离线查证照是否被暂停或终止 / Lists to download whole, which tell offline what is suspended or ended.

    SCOPE 为“类型代码.颁发机构代码”，或批次名称 / SCOPE is type code and issuer code with a dot between, or the name of a batch.
    """


@status_list_group.command("make")
@_scope_argument
@click.option("--height", type=int, help="截至该区块，缺省为最新 / As of this block, the latest when absent.")
@_out_option
@url_option
@key_options
@json_option
def make(
    scope: str, height: int | None, out: Path, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    """由节点的账本制作清单，尚未签名 / Have a node make a list from its ledger; nobody has signed it yet."""
    from sdk.client import Client
    from sdk.status_lists import MAKING_TIMEOUT_S, make_status_list, save_status_list

    with Client(url, open_signer(key, password_file), timeout_s=MAKING_TIMEOUT_S) as client:
        made = make_status_list(client, scope, height)
    save_status_list(out, made)
    _show(made, out, as_json)


@status_list_group.command("sign")
@_list_argument
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签名人与部门的证书（PEM）/ The signer's and the department's certificates (PEM).",
)
@key_options
@json_option
def sign(status_list: Path, chain: Path, key: Path, password_file: Path | None, as_json: bool) -> None:
    """以部门签名人的名义签署清单 LIST，写回原文件 / Sign a list in the name of the signer's department; the file is replaced.

    只签署自己制作或已核对过的清单 / Sign only what you made or compared with a ledger yourself.
    """
    from sdk.documents import read_limited
    from sdk.status_lists import load_status_list, save_status_list
    from sdk.status_lists import sign as sign_list
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates

    certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
    file = load_status_list(status_list)
    signed = sign_list(file, open_signer(key, password_file), certificates, time.time_ns() // 1_000_000)
    save_status_list(status_list, signed)
    _show(signed, status_list, as_json)


@status_list_group.command("anchor")
@_list_argument
@url_option
@key_options
@json_option
def anchor(status_list: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """与账本核对后，以本部门锚定清单 LIST，附上证明 / Compare a list with the ledger, anchor it, and add the proof; any department may."""
    from sdk.client import Client
    from sdk.status_lists import MAKING_TIMEOUT_S, load_status_list, save_status_list
    from sdk.status_lists import anchor as anchor_list

    file = load_status_list(status_list)
    with Client(url, open_signer(key, password_file), timeout_s=MAKING_TIMEOUT_S) as client:
        anchored = anchor_list(client, file)
    save_status_list(status_list, anchored)
    _show(anchored, status_list, as_json)


@status_list_group.command("publish")
@_list_argument
@url_option
@key_options
@json_option
def publish(status_list: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """在账本上锚定清单 LIST，附上证明，并交节点供下载 / Anchor a list, add the proof of it, and have the node keep it for download.

    先与节点的账本核对；须为颁发机构的账户 / Compared with the node's ledger first; needs an account of the issuer.
    """
    from sdk.client import Client
    from sdk.status_lists import MAKING_TIMEOUT_S, load_status_list, save_status_list
    from sdk.status_lists import anchor as anchor_list
    from sdk.status_lists import publish as publish_list
    from verification.errors import InputError

    file = load_status_list(status_list)
    with Client(url, open_signer(key, password_file), timeout_s=MAKING_TIMEOUT_S) as client:
        department, issuer = client.own_department(), file.content.scope.issuer
        if department != issuer:
            raise InputError(
                "OTHER_DEPARTMENT",
                f"清单由颁发机构 {issuer} 发布；部门 {department} 可用 govnode cert status-list anchor 附上自己的锚定",
                f"the list is published by its issuer {issuer}; {department} can add its anchor: govnode cert status-list anchor",
            )
        anchored = anchor_list(client, file)
        save_status_list(status_list, anchored)
        publish_list(client, anchored)
    _show(anchored, status_list, as_json)


@status_list_group.command("compare")
@_list_argument
@url_option
@key_options
@json_option
def compare(status_list: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """由节点按账本重新制作，与清单 LIST 核对 / Have a node make the list again from its ledger, and compare: for auditors and signers.

    任一账户均可；可在之后任何时候核对；不同则退出状态为 1 / Any account may, at any time later. Exit status 1 where it differs.
    """
    from sdk.client import Client
    from sdk.status_lists import MAKING_TIMEOUT_S, load_status_list
    from sdk.status_lists import compare as compare_list

    file = load_status_list(status_list)
    with Client(url, open_signer(key, password_file), timeout_s=MAKING_TIMEOUT_S) as client:
        compare_list(client, file)
    _show(file, status_list, as_json)


@status_list_group.command("list")
@url_option
@json_option
def list_published(url: str, as_json: bool) -> None:
    """列出节点供下载的清单 / Show which lists a node keeps for download."""
    from verification.days import show_time

    with open_client(url) as client:
        items = client.get("/status-lists")["items"]
    rows = [(one["scope"], str(one["height"]), show_time(one["time_ms"]), str(one["size_bytes"])) for one in items]
    headings = ("范围 / scope", "区块 / block", "截至 / as of", "字节 / bytes")
    show({"items": items}, as_json, table(headings, rows))


@status_list_group.command("fetch")
@_scope_argument
@_out_option
@url_option
@json_option
def fetch(scope: str, out: Path, url: str, as_json: bool) -> None:
    """下载清单，不核验；节点不知道要查的是哪一份 / Download a list, unchecked; the node does not learn what is looked up in it."""
    from sdk.status_lists import fetch_status_list, save_status_list

    with open_client(url) as client:
        fetched = fetch_status_list(client, scope)
    save_status_list(out, fetched)
    _show(fetched, out, as_json)


@status_list_group.command("check")
@_list_argument
@click.argument("identifier", required=False)
@click.option(
    "--document",
    type=FILE,
    help="要核验的证照文件、出示件或加注件 / The document, presentation or annotated copy to verify.",
)
@click.option("--recipient", help="出示件或加注件应给谁 / Who a presentation or copy should be made out to.")
@click.option(
    "--position",
    type=int,
    help="证照在批次中的位置，批次清单用 / Where the certificate is in the batch, for a batch's list.",
)
@click.option(
    "--trust",
    type=FILE,
    envvar=TRUST_VARIABLE,
    show_envvar=True,
    default=Path("trust.json"),
    show_default=True,
    help="信任文件 / The trust file.",
)
@click.option(
    "--root",
    type=FILE,
    help="根证书（PEM），缺省取信任文件中的 / Root certificates (PEM); the trust file's when absent.",
)
@list_trust_options
@json_option
def check(
    status_list: Path,
    identifier: str | None,
    document: Path | None,
    recipient: str | None,
    position: int | None,
    trust: Path,
    root: Path | None,
    departments: tuple[str, ...],
    as_json: bool,
) -> int:
    """离线核验清单 LIST，并查一份证照在其中的状态 / Verify a list offline, and look a certificate up in it.

    给出 IDENTIFIER 只查清单；给出 --document 则连同文件的签名与有效期一并核验。
    清单可信且其中未见暂停或终止则退出状态为 0，否则为 1 / With IDENTIFIER the list alone is asked; with --document the document's
    signature and validity are verified too. Exit status 0 when the list holds and shows nothing against the certificate, else 1.
    """
    from sdk.status_lists import load_status_list
    from sdk.trusted_lists import list_trust
    from verification.freshness import verify_status_list

    if identifier is not None and document is not None:
        raise click.UsageError("IDENTIFIER 与 --document 二者选一 / give IDENTIFIER or --document, one of the two")
    known = list_trust(trust, root, departments)
    if document is not None:
        return _check_document(status_list, document, known, recipient, as_json)
    file = load_status_list(status_list)
    vouching = verify_status_list(file, known)
    if identifier is None:
        _show(file, status_list, as_json, vouching)
        return 0
    return _check_identifier(file, identifier, position, vouching, as_json)


def _check_identifier(
    file: StatusListFile, identifier: str, position: int | None, vouching: tuple[str, ...], as_json: bool
) -> int:
    from contracts.identifiers import parse_identifier
    from contracts.refusals import Refused
    from verification.errors import InputError
    from verification.freshness import FINDINGS, Subject, find_entry

    try:
        name = parse_identifier(identifier).text
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None
    scope = file.content.scope
    code = find_entry(file.content, Subject(name, scope.name if scope.is_batch else "", position))
    zh, en = FINDINGS[code]
    rows = [("证照标识 / identifier", name), ("结论 / finding", f"[{code}] {zh} / {en}"), *_rows(file, vouching)]
    show({"identifier": name, "code": code, "zh": zh, "en": en, "list": _facts(file, vouching)}, as_json, fields(rows))
    return 0 if code == "CLEAR" else EXIT_REFUSED


def _check_document(status_list: Path, document: Path, known: ListTrust, recipient: str | None, as_json: bool) -> int:
    import msgspec

    from sdk.documents import read_limited
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES
    from verification.freshness import verify_document_and_list
    from verification.status_list import MAX_STATUS_LIST_FILE_BYTES

    raw = read_limited(document, MAX_DOCUMENT_FILE_BYTES)
    found = verify_document_and_list(raw, read_limited(status_list, MAX_STATUS_LIST_FILE_BYTES), known, recipient)
    result = "通过 / accepted" if found.is_accepted else "不通过 / refused"
    values = found.document.values or {}
    rows: list[tuple[str, object]] = [
        *values.items(),
        ("未出示 / hidden", "、".join(found.document.hidden) or None),
        ("证照标识 / identifier", found.document.identifier),
        ("结论 / verdict", f"{result} [{found.code}]"),
        ("", found.zh),
        ("", found.en),
    ]
    show(msgspec.to_builtins(found), as_json, fields(rows))
    return 0 if found.is_accepted else EXIT_REFUSED


def _facts(file: StatusListFile, vouching: tuple[str, ...] | None) -> dict[str, Any]:
    content = file.content
    facts = {
        "scope": content.scope.name,
        "height": content.block.height,
        "block_id": content.block.block_id.hex(),
        "time_ms": content.block.time_ms,
        "entries": content.entry_count,
        "changed_count": content.changed_count,
        "digest": content.digest.hex(),
        "signatures": [one.department for one in file.signatures],
        "anchors": len(file.anchors),
    }
    return facts if vouching is None else facts | {"departments": list(vouching)}


def _rows(file: StatusListFile, vouching: tuple[str, ...] | None) -> list[tuple[str, object]]:
    from verification.days import show_time

    content = file.content
    signed = ", ".join(one.department for one in file.signatures)
    return [
        ("清单范围 / list of", content.scope.name),
        ("截至 / as of", f"{show_time(content.block.time_ms)}，区块 / block {content.block.height}"),
        ("项数 / entries", content.entry_count),
        ("不在有效状态 / not in force", content.changed_count),
        ("摘要 / digest", content.digest.hex()),
        ("签名 / signatures", signed or "无 / none"),
        ("锚定证明 / anchor proofs", len(file.anchors)),
        ("采信 / vouched for by", None if vouching is None else ", ".join(vouching)),
    ]


def _show(file: StatusListFile, path: Path, as_json: bool, vouching: tuple[str, ...] | None = None) -> None:
    rows = [*_rows(file, vouching), ("文件 / file", path)]
    show({"file": str(path)} | _facts(file, vouching), as_json, fields(rows))
