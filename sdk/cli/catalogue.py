"""govnode catalogue: publish and list data resources."""

from __future__ import annotations

from typing import Any

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options
from sdk.cli.catalogue_files import diff_tables, export_table, import_tables
from sdk.cli.catalogue_life import (
    approve,
    reject,
    reply,
    review,
    show_resource,
    show_version_changes,
    withdraw,
)
from sdk.cli.catalogue_returns import correct_arrival, list_arrivals, list_returned, record_arrival, void_arrival
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, show, table

MAX_LISTED = 10_000
_SHARING = {"unconditional": 1, "conditional": 2, "none": 3}
_CYCLES = {"realtime": 1, "daily": 2, "weekly": 3, "monthly": 4, "quarterly": 5, "yearly": 6}
_CLASSES = {"core": 1, "important": 2, "general": 3}


@click.group(cls=Group)
def catalogue() -> None:
    """数据目录 / The data catalogue."""


@catalogue.command("publish")
@click.argument("code")
@click.option("--name", required=True, help="资源名称 / The resource's name.")
@click.option("--summary", required=True, help="摘要 / What it holds.")
@click.option("--format", "form", default="JSON", show_default=True, help="格式 / Its format.")
@click.option(
    "--item",
    "items",
    multiple=True,
    required=True,
    help="数据项 名称:类型，可多次（类型 C N Y D T L M G B I F）/ A data item as NAME:TYPE; may be repeated.",
)
@click.option("--sharing", type=click.Choice(list(_SHARING)), required=True, help="共享类型 / Kind of sharing.")
@click.option("--basis", default="", help="共享条件或不予共享的依据 / Condition of sharing, or why there is none.")
@click.option("--method", default="接口 / API", show_default=True, help="共享方式 / How it is supplied.")
@click.option("--open", "is_open", is_flag=True, help="向社会开放 / Open to the public.")
@click.option(
    "--cycle",
    type=click.Choice(list(_CYCLES)),
    default="daily",
    show_default=True,
    help="更新周期 / How often it changes.",
)
@click.option(
    "--data-class",
    type=click.Choice(list(_CLASSES)),
    default="general",
    show_default=True,
    help="数据分级 / Class of data (GB/T 43697).",
)
@click.option("--duty", "duties", multiple=True, help="所属职责代码，可多次 / Code of a duty; may be repeated.")
@click.option("--system", "systems", multiple=True, help="来源系统代码，可多次 / Code of a system; may be repeated.")
@click.option(
    "--returned-by",
    type=click.Choice(["national", "province"]),
    help="回流数据的来源层级 / Returned data: whose it is.",
)
@click.option("--source-body", default="", help="回流数据的来源单位 / The body that returns it.")
@click.option("--source-code", default="", help="来源单位目录中的代码 / Its code in that body's catalogue.")
@click.option(
    "--replaces",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="所变更的现行版本号，新资源为 0 / The version that it replaces, 0 for a new resource.",
)
@call_options
def publish(
    code: str,
    name: str,
    summary: str,
    form: str,
    items: tuple[str, ...],
    sharing: str,
    basis: str,
    method: str,
    is_open: bool,
    cycle: str,
    data_class: str,
    duties: tuple[str, ...],
    systems: tuple[str, ...],
    returned_by: str | None,
    source_body: str,
    source_code: str,
    replaces: int,
    access: Access,
) -> None:
    """发布一项资源，CODE 为 分类码/顺序码，如 307003001/0001 / Publish a resource under CODE: class digits, a slash, a number.

    分类码 6 至 24 位，顺序码 1 至 12 位，由本部门编排 / 6 to 24 digits, then 1 to 12 that the department counts up itself.
    """
    from contracts.data_sharing.resources import ResourceDescription, ResourceItem
    from sdk.system_contracts.answer import returned

    named = []
    for item in items:
        item_name, separator, kind = item.rpartition(":")
        if not separator:
            raise click.BadParameter(f"应为 名称:类型 / expected NAME:TYPE, found {item[:40]!r}", param_hint="--item")
        named.append(ResourceItem(item_name, kind))
    described = ResourceDescription(
        code=code,
        name=name,
        summary=summary,
        format=form,
        items=tuple(named),
        sharing_type=_SHARING[sharing],
        sharing_basis=basis,
        sharing_method=method,
        is_open=is_open,
        update_cycle=_CYCLES[cycle],
        data_class=_CLASSES[data_class],
        duties=duties,
        systems=systems,
        source_level=returned_by or "",
        source_body=source_body,
        source_code=source_code,
    )
    with open_client(access.url, access.key, access.password_file) as client:
        receipt = client.call("catalogue", "publish", resource=described, replaces=replaces)
    is_in_force = bool(returned("catalogue", "publish", receipt))
    result = {"code": code, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    text = "已发布 / published" if is_in_force else "待审批 / waiting for approval"
    show(
        result | {"is_in_force": is_in_force}, access.as_json, fields([(text, code), ("区块 / block", receipt.height)])
    )


@catalogue.command("list")
@click.option("--search", help="名称、代码、摘要、数据项中的字词 / Words of name, code, summary or items.")
@click.option("--department", help="提供部门的代码 / Code of the providing department.")
@click.option("--sharing", type=click.Choice(list(_SHARING)), help="共享类型 / Kind of sharing.")
@click.option("--data-class", type=click.Choice(list(_CLASSES)), help="数据分级 / Class of data.")
@click.option("--open", "is_open", is_flag=True, help="只列向社会开放的 / Only what is open to the public.")
@click.option("--library", help="基础库或主题库，如 base-population / A base or theme library.")
@click.option(
    "--returned", type=click.Choice(["national", "province"]), help="只列回流数据 / Only data returned by that level."
)
@click.option("--waiting", is_flag=True, help="列出待审批的版本 / List versions that wait for approval.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_resources(
    search: str | None,
    department: str | None,
    sharing: str | None,
    data_class: str | None,
    is_open: bool,
    library: str | None,
    returned: str | None,
    waiting: bool,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """查找已发布的资源，新的在前 / Find published resources, newest first."""
    filters: dict[str, Any] = {
        "q": search,
        "sharing_type": None if sharing is None else _SHARING[sharing],
        "data_class": None if data_class is None else _CLASSES[data_class],
        "is_open": True if is_open else None,
        "library": library,
        "source_level": returned,
    }
    if waiting and any(value is not None for value in filters.values()):
        raise click.UsageError("--waiting 只与 --department 同用 / --waiting goes with --department only")
    with open_client(url) as client:
        if waiting:
            resources = client.get_all("/resource-proposals", limit=limit, department=department)
        else:
            resources = client.get_all("/catalogue", limit=limit, department=department, **filters)
    rows = [
        (
            resource["code"],
            resource["name"] + ("（已撤回 / withdrawn）" if resource.get("is_withdrawn") else ""),
            resource["provider_name"],
            f"{resource['sharing_text']['zh']} / {resource['sharing_text']['en']}",
        )
        for resource in resources
    ]
    headings = ("代码 / code", "名称 / name", "提供方 / provider", "共享 / sharing")
    show({"items": resources}, as_json, table(headings, rows))


for command in (
    show_resource,
    show_version_changes,
    approve,
    reject,
    withdraw,
    review,
    reply,
    import_tables,
    export_table,
    diff_tables,
    record_arrival,
    correct_arrival,
    void_arrival,
    list_arrivals,
    list_returned,
):
    catalogue.add_command(command)
