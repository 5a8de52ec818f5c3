"""govnode cert deposit, deposits, withdraw-deposit: a presentation left at a node for a time, behind a short link."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Command
from sdk.cli.certificate_code import LINK_VARIABLE
from sdk.cli.options import FILE, day_end, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table
from verification.errors import InputError


@click.command("deposit", cls=Command)
@click.argument("file", type=FILE)
@click.option(
    "--until",
    "until_day",
    required=True,
    help="寄存到哪一天 YYYY-MM-DD，至多 90 天 / The last day that the node keeps it, at most 90 days from now.",
)
@click.option(
    "--link",
    "base",
    envvar=LINK_VARIABLE,
    show_envvar=True,
    help="链接的前缀，如 https://主机；缺省为节点地址 / Where the link leads: https://host; the node's address when absent.",
)
@click.option(
    "--out",
    type=FILE,
    help="二维码写入的文件（.svg 或 .png），不得已存在 / Where to draw the code, .svg or .png; must not exist.",
)
@url_option
@key_options
@json_option
def make_deposit(
    file: Path,
    until_day: str,
    base: str | None,
    out: Path | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """把出示件或加注件 FILE 加密寄存在节点，得到短链接 / Leave a presentation or annotated copy at a node, sealed, behind a short link.

    须为部门账户，部门为其持证人寄存。密钥只在链接里：节点读不到内容，拿到链接的人都能打开 / Needs an account of a department, which
    deposits for its holders. The key is in the link alone: the node cannot read it, and whoever has the link can.
    """
    from sdk.deposits import deposit
    from sdk.documents import read_limited, write_new
    from verification.code_image import code_png, code_svg, print_size_mm
    from verification.deposits import MAX_DEPOSITED_FILE_BYTES

    draw = None if out is None else {".svg": code_svg, ".png": code_png}.get(out.suffix.lower())
    if out is not None and draw is None:
        raise click.UsageError("--out 应以 .svg 或 .png 结尾 / --out ends in .svg or .png")
    if out is not None and out.exists():
        raise InputError(
            "FILE_EXISTS", f"文件 {out} 已存在，请另选 --out", f"{out} exists already: choose another --out"
        )
    raw = read_limited(file, MAX_DEPOSITED_FILE_BYTES)
    expires_ms = day_end("--until", until_day)
    with open_client(url, key, password_file) as client:
        link = deposit(client, raw, expires_ms, base)
    result = {"link": link.text, "id": link.id, "expires_ms": expires_ms, "out": None, "print_mm": None}
    shown: list[tuple[str, object]] = [
        ("链接 / link", link.text),
        ("寄存编号 / id", link.id),
        ("寄存至 / until", until_day),
    ]
    if out is not None and draw is not None:
        write_new(out, draw(link.text))
        result |= {"out": str(out), "print_mm": print_size_mm(link.text)}
        shown += [("印刷边长不小于 / print at least", f"{result['print_mm']} mm"), ("文件 / file", out)]
    show(result, as_json, fields(shown))


@click.command("deposits", cls=Command)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="至多几份 / At most how many."
)
@url_option
@key_options
@json_option
def list_own_deposits(limit: int, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """列出本部门在节点的寄存件；节点没有密钥，列不出链接 / Show a department's deposits at a node, which has no keys and so no links."""
    from sdk.deposits import list_deposits
    from verification.days import show_time

    with open_client(url, key, password_file) as client:
        items = list_deposits(client, limit)
    rows = [
        (one["id"], show_time(one["made_ms"]), show_time(one["expires_ms"]), str(one["size_bytes"])) for one in items
    ]
    headings = ("寄存编号 / id", "寄存于 / made", "寄存至 / until", "字节 / bytes")
    show({"items": items}, as_json, table(headings, rows))


@click.command("withdraw-deposit", cls=Command)
@click.argument("deposit_id", metavar="ID")
@url_option
@key_options
@json_option
def withdraw(deposit_id: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """撤回本部门的寄存件 ID，节点随即删除 / Withdraw a deposit of the own department; the node deletes it at once."""
    from sdk.deposits import withdraw_deposit
    from verification.deposits import is_deposit_id

    if not is_deposit_id(deposit_id):
        raise InputError(
            "DEPOSIT_ID_MALFORMED",
            "寄存编号是链接中 /P/ 之后的 16 位大写字母或数字",
            "the id of a deposit is the 16 capital letters or digits behind /P/ in its link",
        )
    with open_client(url, key, password_file) as client:
        withdraw_deposit(client, deposit_id)
    show({"id": deposit_id}, as_json, fields([("已撤回 / withdrawn", deposit_id)]))
