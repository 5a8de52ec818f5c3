"""govnode cert document: certificate documents of rows, made and signed, to be issued one by one."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_secret_owner,
    day_start,
    key_options,
    open_signer,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import EXIT_REFUSED, json_option, show
from sdk.cli.row_faults import count_of, fault_lines
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.tables.lines import RowFault
    from verification.certificate_files.document import CertificateDocument

MAX_SHOWN_FAULTS: Final = 50


@click.command("document", cls=Command)
@click.argument("file", type=FILE)
@click.option("--type", "type_code", required=True, help="证照类型代码 / Code of the certificates' type.")
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签名人证书与部门证书（PEM）/ Certificates of the key's owner and the department, PEM.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="写入的文件；多行时为文件夹 / The file to write; a folder where there are several rows.",
)
@click.option("--issued-on", help="颁发日期 YYYY-MM-DD；不给为今天 / Day of issue; today when absent.")
@click.option(
    "--holder-secret",
    type=FILE,
    envvar=HOLDER_SECRET_VARIABLE,
    show_envvar=True,
    required=True,
    help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
)
@url_option
@key_options
@json_option
def make_document(
    file: Path,
    type_code: str,
    chain: Path,
    out: Path,
    issued_on: str | None,
    holder_secret: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """由 .csv、.xlsx 或 .json 中的行制作并签署证照文件，之后用 cert issue --document 颁发 / Make and sign documents of rows.

    列与 cert batch 相同；有一处错误即不制作 / The columns are those of cert batch; with a fault nothing is made.
    """
    from sdk.certificate_batches.issuing import known_identifiers, load_head
    from sdk.certificate_batches.single_documents import draft_table
    from sdk.client import Client
    from sdk.documents import read_limited
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.document import seal_document
    from verification.certificate_files.seals import check_signer, decode_certificates, sign_document
    from verification.days import show_time

    secret = read_holder_secret(holder_secret)
    signer = open_signer(key, password_file)
    certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
    check_signer(signer, certificates)
    now_ms = time.time_ns() // 1_000_000
    if issued_on is not None:
        day_start("--issued-on", issued_on)
    with Client(url, signer) as client:
        head = load_head(client, type_code, issued_on or show_time(now_ms)[:10])
        check_secret_owner(holder_secret, head.issuer_code)
        drafts, faults = draft_table(file, head, secret, partial(known_identifiers, client))
    if faults:
        return _show_faults(faults, as_json)
    made = [seal_document(draft, sign_document(draft.digest, signer, certificates, now_ms)) for draft in drafts]
    paths = _write(out, made)
    rows = [
        {"identifier": document.core.identifier, "document_digest": draft.digest.hex(), "file": str(path)}
        for document, draft, path in zip(made, drafts, paths, strict=True)
    ]
    lines = [f"✓ {row['identifier']} → {row['file']}" for row in rows]
    succeeds = any(document.core.predecessor for document in made)
    following = "renew|change|transfer-in --reason REASON" if succeeds else "issue"
    target = paths[0] if len(paths) == 1 else out
    lines.append(f"尚未颁发；下一步 / not issued yet; next: govnode cert {following} --document {target}")
    show({"documents": rows}, as_json, "\n".join(lines))
    return 0


def _write(out: Path, documents: list[CertificateDocument]) -> list[Path]:
    """Write new files that only their owner can read, for a document opens every field of itself; return their paths."""
    from sdk.documents import write_new
    from verification.certificate_files.document import encode_file

    paths = [out]
    if len(documents) > 1 or out.is_dir():
        out.mkdir(exist_ok=True)
        paths = [out / f"{document.core.identifier}.json" for document in documents]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise InputError(
                "FILE_EXISTS", f"文件 {path} 已存在，请另选 --out", f"{path} exists already: choose another --out"
            )
    for path, document in zip(paths, documents, strict=True):
        write_new(path, encode_file(document))
    return paths


def _show_faults(faults: list[RowFault], as_json: bool) -> int:
    import msgspec

    shown = faults[:MAX_SHOWN_FAULTS]
    lines = fault_lines(shown)
    lines.append(f"共 {len(faults)} 处错误，未制作 / {count_of(len(faults), 'fault')}, nothing is made")
    show({"faults": len(faults), "first": msgspec.to_builtins(shown)}, as_json, "\n".join(lines))
    return EXIT_REFUSED
