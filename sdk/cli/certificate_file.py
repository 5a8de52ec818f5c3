"""govnode cert present, cert annotate: what a holder or a department makes of a certificate document, offline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, KEY_VARIABLE, PASSWORD_FILE_VARIABLE, URL_VARIABLE, day_end, key_options, open_signer
from sdk.cli.output import fields, json_option, show

if TYPE_CHECKING:
    from verification.certificate_files.annotated_copy import AnnotatedCopy

_out_option = click.option(
    "--out", type=FILE, required=True, help="写入的文件，不得已存在 / The file to write; must not exist."
)


@click.command("present", cls=Command)
@click.argument("document", type=FILE)
@click.option("--show", "names", multiple=True, help="出示的字段，可多次给出 / A field to show; repeatable.")
@click.option(
    "--attachment", "attachments", multiple=True, help="出示的附件，可多次给出 / An attachment to show; repeatable."
)
@click.option("--recipient", help="给谁 / For whom.")
@click.option("--purpose", help="用途 / What for.")
@click.option("--until", "until_day", help="使用到哪一天 YYYY-MM-DD / The last day it may be used.")
@click.option("--key", type=FILE, envvar=KEY_VARIABLE, show_envvar=True, help="持证人密钥文件 / The holder's key file.")
@click.option(
    "--password-file",
    type=FILE,
    envvar=PASSWORD_FILE_VARIABLE,
    show_envvar=True,
    help="存放口令的文件（0600）/ File (0600) that holds the password.",
)
@_out_option
@json_option
def present_document(
    document: Path,
    names: tuple[str, ...],
    attachments: tuple[str, ...],
    recipient: str | None,
    purpose: str | None,
    until_day: str | None,
    key: Path | None,
    password_file: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """由证照文件 DOCUMENT 制作出示件：只含选定的字段 / Make a presentation of a document: the chosen fields, and no others.

    证照登记了持证人密钥的，须给出 --key、--recipient、--purpose、--until / Where the document names a holder key, these four are needed.
    """
    from sdk.documents import read_limited, write_new
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, decode_document, encode_file
    from verification.certificate_files.presentation import bind_presentation, present

    shown = present(decode_document(read_limited(document, MAX_DOCUMENT_FILE_BYTES)), names, attachments)
    if shown.core.holder_key:
        if key is None or recipient is None or purpose is None or until_day is None:
            raise click.UsageError(
                "此证照须由持证人签名出示：请给出 --key、--recipient、--purpose、--until / "
                "this document is presented under its holder's signature: give --key, --recipient, --purpose and --until"
            )
        until_ms = day_end("--until", until_day)
        shown = bind_presentation(
            shown, open_signer(key, password_file), recipient, purpose, time.time_ns() // 1_000_000, until_ms
        )
    elif recipient or purpose or until_day:
        raise click.UsageError(
            "此证照没有登记持证人密钥，出示件不能限定接收方、用途或期限 / "
            "this document names no holder key: a presentation of it cannot be bound to a recipient, purpose or day"
        )
    write_new(out, encode_file(shown))
    values = {shown.core.fields[one.position].name: one.value for one in shown.fields}
    hidden = list(shown.hidden_names)
    text = fields([*values.items(), ("未出示 / hidden", "、".join(hidden) or None), ("文件 / file", out)])
    show({"out": str(out), "values": values, "hidden": hidden}, as_json, text)


@click.command("annotate", cls=Command)
@click.argument("original", type=FILE)
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签名人与部门的证书（PEM）/ The signer's and the department's certificates (PEM).",
)
@click.option("--reason", required=True, help="加注事由 / Why the copy is made.")
@click.option("--recipient", required=True, help="给谁 / For whom.")
@click.option("--until", "until_day", required=True, help="使用到哪一天 YYYY-MM-DD / The last day it may be used.")
@click.option(
    "--url",
    envvar=URL_VARIABLE,
    show_envvar=True,
    help="问哪个节点证照是否有效；不给则不核对效力 / The node to ask whether it is in force; without one nobody is asked.",
)
@key_options
@_out_option
@json_option
def annotate(
    original: Path,
    chain: Path,
    reason: str,
    recipient: str,
    until_day: str,
    url: str | None,
    key: Path,
    password_file: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """由出示件 ORIGINAL 制作加注件 / Make an annotated copy of a presentation, in the name of the signer's department."""
    import msgspec

    from sdk.documents import read_limited, write_new
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.annotated_copy import make_annotated_copy
    from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, encode_file
    from verification.certificate_files.presentation import decode_presentation
    from verification.certificate_files.seals import decode_certificates

    copy = make_annotated_copy(
        decode_presentation(read_limited(original, MAX_DOCUMENT_FILE_BYTES)),
        open_signer(key, password_file),
        decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain)),
        reason=reason,
        recipient=recipient,
        made_ms=time.time_ns() // 1_000_000,
        expires_ms=day_end("--until", until_day),
    )
    _check_usable(copy)
    force = _check_in_force(copy, url)
    write_new(out, encode_file(copy))
    annotation = msgspec.to_builtins(copy.annotation)
    text = fields(
        [
            ("加注机构 / maker", copy.annotation.maker),
            ("给 / for", recipient),
            ("效力 / force", force),
            ("文件 / file", out),
        ]
    )
    show({"out": str(out), "annotation": annotation, "is_force_checked": url is not None}, as_json, text)


def _check_usable(copy: AnnotatedCopy) -> None:
    """Return if nobody would refuse the copy for what its maker can see; raise InputError with the code otherwise."""
    from verification.certificate_files.document import content_of, encode_file
    from verification.certificate_files.file_verification import GENUINE, Expectations, verify_annotated_copy
    from verification.errors import InputError

    known = Expectations(
        copy.annotation.made_ms, ledger=content_of(copy.original.core), recipient=copy.annotation.recipient
    )
    verdict = verify_annotated_copy(encode_file(copy), known)
    # Without roots the maker's own chain is not judged, and that is all that may be open.
    if verdict.code not in {GENUINE, "TRUST_MISSING"}:
        raise InputError(verdict.code, verdict.zh, verdict.en)


def _check_in_force(copy: AnnotatedCopy, url: str | None) -> str:
    """Return what is known of the force of a copy's certificate; raise InputError with its verdict where a node says it has none."""
    from contracts.certificate_records import VERDICTS
    from sdk.cli.certificate_show import look_up
    from sdk.cli.options import open_client
    from verification.certificate_files.document import core_digest
    from verification.errors import InputError

    if url is None:
        return "未核对，请给出 --url / not checked: give --url"
    core = copy.original.core
    with open_client(url) as client:
        record, status = look_up(client, core.identifier, None, copy.annotation.made_ms)
    if record["document_digest"].removeprefix("0x") != core_digest(core).hex():
        raise InputError(
            "DOCUMENT_CHANGED",
            f"账本上 {core.identifier} 的文件不是这一份",
            f"the document of {core.identifier} on the ledger is another",
        )
    zh, en = VERDICTS[status["verdict"]]
    if status["verdict"] != "IN_FORCE":
        raise InputError(
            status["verdict"], f"{core.identifier}：{zh}，不能加注", f"{core.identifier}: {en}; no copy is made of it"
        )
    return f"{zh} / {en}"
