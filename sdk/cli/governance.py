"""govnode governance: show and change the chain parameters."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table


@click.group(cls=Group)
def governance() -> None:
    """链参数 / The chain's parameters."""


@governance.command("show")
@url_option
@json_option
def show_parameters(url: str, as_json: bool) -> None:
    """显示下一高度的链参数及允许范围 / Show the parameters of the next height, and within what bounds each may be set."""
    from contracts.parameters import BOUNDS

    with open_client(url) as client:
        found = client.view("governance", "parameters")
    values = {name: int(found[name]) for name in BOUNDS}
    rows = [(name, str(values[name]), f"{least} - {greatest}") for name, (least, greatest) in BOUNDS.items()]
    headings = ("参数 / parameter", "值 / value", "范围 / bounds")
    shown = [
        {"name": name, "value": values[name], "least": least, "greatest": greatest}
        for name, (least, greatest) in BOUNDS.items()
    ]
    show({"parameters": shown}, as_json, table(headings, rows))


@governance.command("set")
@click.argument("changes", metavar="NAME=VALUE...", nargs=-1, required=True)
@url_option
@key_options
@json_option
def set_parameters(changes: tuple[str, ...], url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """修改链参数，自下一高度起生效（治理角色）/ Change parameters, from the next height on; for a governor.

    例 / for example: govnode governance set timeout_propose_ms=2000 timeout_limit_ms=20000
    """
    values = dict(_read_change(change) for change in changes)
    if len(values) < len(changes):
        raise click.BadParameter("同一参数只能给出一次 / each parameter once", param_hint="NAME=VALUE")
    with open_client(url, key, password_file) as client:
        receipt = client.call("governance", "set_parameters", names=list(values), values=list(values.values()))
    result = {
        "parameters": values,
        "transaction": "0x" + receipt.transaction_id.hex(),
        "height": receipt.height,
        "first_height": receipt.height + 1,
    }
    lines: list[tuple[str, object]] = [*values.items()]
    show(result, as_json, fields([*lines, ("自高度起生效 / from height", receipt.height + 1)]))


def _read_change(text: str) -> tuple[str, int]:
    """Return the name and value of NAME=VALUE; raise BadParameter on another form, an unknown name or a value out of bounds."""
    from contracts.parameters import BOUNDS

    name, _, digits = text.partition("=")
    if name not in BOUNDS:
        known = ", ".join(BOUNDS)
        raise click.BadParameter(f"未知参数 / unknown parameter {name[:40]!r}; {known}", param_hint="NAME=VALUE")
    least, greatest = BOUNDS[name]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 20
    if not is_number or not least <= int(digits) <= greatest:
        raise click.BadParameter(
            f"{name} 应为 {least} 至 {greatest} 的整数 / expected an integer from {least} to {greatest}, found {digits[:40]!r}",
            param_hint="NAME=VALUE",
        )
    return name, int(digits)
