"""govnode issuing-service: issue, present and verify over plain HTTP, for a department's systems in other languages."""

from __future__ import annotations

import time
from pathlib import Path

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, HOLDER_SECRET_VARIABLE, key_options, open_signer, read_holder_secret, url_option
from sdk.cli.output import say

MAX_CONNECTIONS = 64


@click.command(cls=Command)
@click.option(
    "--chain",
    type=FILE,
    required=True,
    help="签发人证书与部门证书（PEM）/ Certificates of the key's owner and the department, PEM.",
)
@click.option(
    "--holder-secret",
    type=FILE,
    envvar=HOLDER_SECRET_VARIABLE,
    show_envvar=True,
    required=True,
    help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
)
@click.option("--trust", type=FILE, required=True, help="信任文件 / The trust file.")
@click.option(
    "--token-file",
    type=FILE,
    required=True,
    help="访问令牌文件（0600）；没有则新建 / File (0600) with the token of access; made when absent.",
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=8_700, show_default=True, help="本机端口 / Port on this machine."
)
@url_option
@key_options
def issuing_service(
    chain: Path,
    holder_secret: Path,
    trust: Path,
    token_file: Path,
    port: int,
    url: str,
    key: Path,
    password_file: Path | None,
) -> None:
    """供本机其他系统以 HTTP 颁发、出示、核验证照 / Issue, present and verify over HTTP, for other systems on this machine.

    只监听 127.0.0.1；持有令牌者即以此账户行事，直至以 Ctrl-C 结束 / It listens on 127.0.0.1 only; whoever has the token acts with
    this account, until Ctrl-C ends it.
    """
    import uvicorn

    from sdk.documents import read_limited
    from sdk.issuer import Issuer
    from sdk.issuing_service import IssuingService, load_token, make_app
    from sdk.trust import load_trust
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates

    anchor = load_trust(trust)
    token = load_token(token_file)
    certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
    with Issuer(url, open_signer(key, password_file), certificates, read_holder_secret(holder_secret)) as issuer:
        app = make_app(IssuingService(issuer, anchor, lambda: time.time_ns() // 1_000_000), token)
        say(f"http://127.0.0.1:{port}（令牌 / token: {token_file}）", err=True)
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
        )
