"""govnode proof: get a proof file from a node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, open_client, url_option
from sdk.cli.output import fields, json_option, show
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client


_NUMBERED: Final = ("delivery", "encryption-key", "product-fact", "product-objection")
"""Kinds of records that have a number under what they belong to."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


@click.group(cls=Group)
def proof() -> None:
    """导出证明 / Export proofs."""


@proof.command("export")
@click.argument("name", required=False)
@click.option(
    "--kind",
    type=click.Choice(["certificate", "resource", "request", "department", "product", *_NUMBERED]),
    default="certificate",
    show_default=True,
    help="记录种类；NAME 为其标识或代码，交付（授权）、加密密钥（部门）、产品的评估交易与异议（产品代码）后接 /序号 / Kind of record; "
    "NAME is its identifier, code or id; with / and a number after the grant of a delivery, the department of a key, the product "
    "of a fact or an objection.",
)
@click.option(
    "--archive", type=FILE, help="批次档案：NAME 是该批中的证照 / Archive of the batch that the certificate NAME is of."
)
@click.option(
    "--document",
    type=FILE,
    help="证照文件、出示件或加注件，代替 NAME / A certificate's document, presentation or copy, instead of NAME.",
)
@click.option("--out", type=FILE, required=True, help="证明文件 / The proof file to write.")
@click.option(
    "--height", type=click.IntRange(1), help="截至该高度；不给为最新 / As of this height; the latest when absent."
)
@url_option
@json_option
def export(
    name: str | None,
    kind: str,
    archive: Path | None,
    document: Path | None,
    out: Path,
    height: int | None,
    url: str,
    as_json: bool,
) -> None:
    """把记录 NAME 的证明写成一个文件，可离线核验 / Write one file that proves a record offline, without trust in any node.

    整批颁发的证照，节点有批次清单的由节点制作，没有的须给出 --archive 或 --document / Of a certificate of a batch the node makes it
    where it has the batch's manifest; elsewhere it needs --archive or --document.
    """
    if (name is None) == (document is None) or (document and archive):
        raise click.UsageError(
            "给出 NAME（可加 --archive），或 --document，二者选一 / give NAME (perhaps with --archive), or --document, one of the two"
        )
    if kind != "certificate" and (archive or document):
        raise click.UsageError("--archive、--document 只用于证照 / --archive and --document are about certificates")
    with open_client(url) as client:
        name, content = _export(client, kind, name, archive, document, height)
    out.write_bytes(content)
    result = {"proof": str(out), "kind": kind, "name": name, "bytes": len(content)}
    show(result, as_json, fields([("证明文件 / proof file", out), ("字节 / bytes", len(content))]))


def _export(
    client: Client, kind: str, name: str | None, archive: Path | None, document: Path | None, height: int | None
) -> tuple[str, bytes]:
    """Return the name of what is proved, and the proof file."""
    from sdk.proofs import export_certificate_proof, export_document_proof, export_member_proof, export_proof

    if document is not None:
        return export_document_proof(client, document, height)
    assert name is not None
    if archive is not None:
        from sdk.certificate_batches.archive import BatchArchive
        from sdk.certificate_batches.documents import member_of

        with BatchArchive(archive) as opened:
            batch, member = opened.tree.name, member_of(opened, name)
        return member.content.identifier, export_member_proof(client, batch, member, height)
    key = _record_key(kind, name)
    if kind == "certificate":
        return name, export_certificate_proof(client, name, height)
    return name, export_proof(client, key, height)


def _record_key(kind: str, name: str) -> bytes:
    """Return the key in state of a record; raise InputError on a malformed name."""
    from contracts.accounts import department_key
    from contracts.certificate_records import certificate_key
    from contracts.data_sharing.catalogue import resource_key
    from contracts.data_sharing.product_records import product_key
    from contracts.data_sharing.sharing import request_key
    from contracts.refusals import Refused

    try:
        if kind in _NUMBERED:
            return _numbered_key(kind, name)
        if kind == "request":
            return request_key(check_hex("NAME", name, 32))
        keys = {"certificate": certificate_key, "resource": resource_key, "department": department_key}
        return (keys | {"product": product_key})[kind](name)
    except Refused as refused:
        zh, en = refused.texts
        raise InputError(refused.code, zh, en) from None
    except ValueError:
        raise InputError("NAME_TOO_LONG", "NAME 过长，请核对", "NAME is too long; check it") from None


def _numbered_key(kind: str, name: str) -> bytes:
    """Return the key in state of one of _NUMBERED, by what it belongs to, a slash and its number; raise InputError."""
    from contracts.data_sharing.deliveries import delivery_key
    from contracts.data_sharing.encryption_keys import encryption_key_key
    from contracts.data_sharing.product_records import fact_key, objection_key

    owner, _, number = name.rpartition("/")
    if not owner or _NUMBER.fullmatch(number) is None:
        raise InputError(
            "NAME_MALFORMED",
            f"NAME 应为 授权标识/序号、部门代码/序号 或 产品代码/序号，实为 {name[:80]!r}",
            f"expected NAME as a grant's id, a department's or a product's code, / and a number, found {name[:80]!r}",
        )
    if kind == "delivery":
        return delivery_key(check_hex("NAME", owner, 32), int(number))
    keys = {"encryption-key": encryption_key_key, "product-fact": fact_key, "product-objection": objection_key}
    return keys[kind](owner, int(number))
