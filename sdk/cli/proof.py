"""govnode proof: get a proof file from a node."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, open_client, url_option
from sdk.cli.output import fields, json_option, show
from verification.errors import InputError


@click.group(cls=Group)
def proof() -> None:
    """导出证明 / Export proofs."""


@proof.command("export")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["certificate", "resource", "request", "department"]),
    default="certificate",
    show_default=True,
    help="记录种类；NAME 为其标识或代码 / Kind of record; NAME is its identifier, code or id.",
)
@click.option("--out", type=FILE, required=True, help="证明文件 / The proof file to write.")
@click.option(
    "--height", type=click.IntRange(1), help="截至该高度；不给为最新 / As of this height; the latest when absent."
)
@url_option
@json_option
def export(name: str, kind: str, out: Path, height: int | None, url: str, as_json: bool) -> None:
    """把记录 NAME 的证明写成一个文件，可离线核验 / Write one file that proves a record offline, without trust in any node."""
    from sdk.proofs import export_proof

    key = _record_key(kind, name)
    with open_client(url) as client:
        content = export_proof(client, key, height)
    out.write_bytes(content)
    result = {"proof": str(out), "kind": kind, "name": name, "bytes": len(content)}
    show(result, as_json, fields([("证明文件 / proof file", out), ("字节 / bytes", len(content))]))


def _record_key(kind: str, name: str) -> bytes:
    """Return the key in state of a record; raise InputError on a malformed name."""
    from contracts.accounts import department_key
    from contracts.catalogue import resource_key
    from contracts.certificate_records import certificate_key
    from contracts.refusals import Refused
    from contracts.sharing import request_key

    try:
        if kind == "request":
            return request_key(check_hex("NAME", name, 32))
        return {"certificate": certificate_key, "resource": resource_key, "department": department_key}[kind](name)
    except Refused as refused:
        zh, en = refused.texts
        raise InputError(refused.code, zh, en) from None
    except ValueError:
        raise InputError("NAME_TOO_LONG", "NAME 过长，请核对", "NAME is too long; check it") from None
