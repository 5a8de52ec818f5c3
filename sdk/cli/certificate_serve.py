"""govnode cert serve: an issuer's service for holders' authorisations and authorised fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.certificate_authorisation import holding_options
from sdk.cli.options import FILE, key_options, open_client, open_signer, read_holder_secret, url_option
from sdk.cli.serving import serve_until_stopped

DEFAULT_PORT: Final = 8_580


@click.command("serve", cls=Command)
@holding_options
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签署加注件者的证书与部门证书（PEM）/ Certificates of the person who signs copies and of the department, PEM.",
)
@click.option("--signing-key", type=FILE, required=True, help="签署加注件的密钥文件 / Key file that signs copies.")
@click.option(
    "--signing-password-file", type=FILE, help="其口令文件（0600）/ File (0600) with the password of --signing-key."
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
@key_options
def serve(
    store: Path,
    archives: tuple[Path, ...],
    documents: Path | None,
    files: Path | None,
    holder_secret: Path,
    chain: Path,
    signing_key: Path,
    signing_password_file: Path | None,
    host: str,
    port: int,
    http_names: tuple[str, ...],
    url: str,
    key: Path,
    password_file: Path | None,
) -> None:
    """颁发机构的证照领取服务，直至 Ctrl-C / Issuer: serve authorised fetches of certificates until Ctrl-C.

    --key 为本部门专用的记录账户（角色 recorder）；应答含个人信息，对外须置于 TLS 代理之后 / --key is a recorder's account for this service
    alone. Answers are personal data: put a TLS proxy before it.
    """
    from sdk.certificate_sharing.desk import Desk
    from sdk.certificate_sharing.holdings import Holdings
    from sdk.certificate_sharing.service import make_service
    from sdk.certificate_sharing.statements import Statements
    from sdk.certificate_sharing.store import SharingStore
    from sdk.documents import read_limited
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates
    from verification.errors import InputError

    if not archives and documents is None:
        raise InputError("NOTHING_TO_SERVE", "给出 --archive 或 --documents", "give --archive or --documents")
    secret = read_holder_secret(holder_secret)
    certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
    signer = open_signer(signing_key, signing_password_file)
    holdings = Holdings(archives, documents, files, secret)
    with open_client(url, key, password_file) as client:
        book = SharingStore(store)
        try:
            desk = Desk(Statements(client, holdings, book), signer, certificates, secret)
            serve_until_stopped(make_service(desk, client.chain_id, frozenset(http_names)), host, port)
        finally:
            book.close()
