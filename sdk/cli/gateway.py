"""govnode gateway: the access gateway as a reverse proxy, and reads through one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, key_options, open_signer, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, say, show
from verification.errors import InputError

if TYPE_CHECKING:
    from contracts.data_sharing.catalogue import ResourceRecord
    from sdk.access_recording.recorder import Recorder
    from sdk.gateway.config import GatewayConfig
    from sdk.gateway.settings_check import Finding

MAX_CONNECTIONS: Final = 2_000
"""More than wait at a time: what works is bounded by the gateway itself, which says so in its own words."""
MAX_TARGET_BYTES: Final = 8_192
MAX_CONTENT_BYTES: Final = 16 * 1024 * 1024


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--config",
    type=FILE,
    help="网关设置（TOML）：运行网关，直至 Ctrl-C / Settings, TOML: run the gateway until Ctrl-C.",
)
@click.pass_context
def gateway(ctx: click.Context, config: Path | None) -> None:
    """数据访问网关 / The access gateway.

    置于本部门数据服务之前：核对授权、裁剪应答，每次读取落盘后才放行，并成批上链；对外须再置于 TLS 代理之后 / Stands before a department's
    data service: checks the grant, cuts the answer, has every read on disk before it leaves, and puts reads on the ledger. Put a TLS
    proxy before it.
    """
    if ctx.invoked_subcommand is not None:
        return
    if config is None:
        raise click.UsageError("请给出 --config 或子命令 / give --config, or a command")
    from node.config import parse_address
    from sdk.cli.serving import serve_until_stopped
    from sdk.gateway.config import load_gateway_config
    from sdk.gateway.gateway import AccessGateway
    from sdk.gateway.parts import open_parts
    from sdk.gateway.upstream import UpstreamService

    settings = load_gateway_config(config)
    host, port = parse_address(settings.listen)
    with open_parts(settings) as parts:
        service = UpstreamService(settings.service, settings.limits.answer_bytes, settings.service_ca)
        app = AccessGateway(service, parts)
        kept = [settings.store, *filter(None, [settings.second_place.shown])]
        recorded = parts.recorder.store.last_recorded()
        stored = parts.recorder.number
        waiting = stored - (0 if recorded is None else recorded.last_number)
        say(f"访问记录 / reads: {', '.join(kept)}", err=True)
        say(
            f"已有 {stored} 条，其中 {waiting} 条待上链 / {stored} so far, {waiting} of them not on the ledger yet",
            err=True,
        )
        serve_until_stopped(app, host, port, lifespan="on", proxies=settings.proxies, max_connections=MAX_CONNECTIONS)


@gateway.command("check")
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=FILE)
@click.option(
    "--offline",
    is_flag=True,
    help="只核对文件，不询问节点 / Check the files alone, without asking the department's node.",
)
@json_option
def check(configs: tuple[Path, ...], offline: bool, as_json: bool) -> int:
    """核对网关设置文件 CONFIG；同一部门的多个网关一并给出 / Check settings of a gateway, or of all of one department's together.

    核对账户、路由与目录是否相符，配额份额是否超出 / Looks whether account and routes fit the ledger, and quotas are not given out twice.
    """
    from sdk.gateway.config import load_gateway_config
    from sdk.gateway.settings_check import check_together

    settings = {path: load_gateway_config(path) for path in configs}
    findings = check_together(settings)
    shown: list[dict[str, Any]] = []
    lines: list[tuple[str, object]] = []
    for path, config in settings.items():
        routes = [{"operation": one.operation, "resource": one.resource} for one in config.make_routes()]
        if not offline:
            found, department = _ask_ledger(config, routes)
            findings += found
            lines.append(("部门 / department", department))
        known = {"listen": config.listen, "service": config.service, "node": config.node, "store": config.store}
        known |= {"second_place": config.second_place.shown, "quota_part": config.quota_part}
        shown.append({"config": str(path), **known, "routes": routes})
        lines += [
            ("监听 / listen", config.listen),
            ("数据服务 / service", config.service),
            ("节点 / node", config.node),
            ("访问记录库 / store", config.store),
            ("第二存放处 / second place", config.second_place.shown or "–"),
            ("配额份额 / part of quotas", config.quota_part),
            *((one["operation"], _route_line(one)) for one in routes),
        ]
    lines += [(f"{one.code} {one.place}", f"{one.zh} / {one.en}") for one in findings]
    show({"gateways": shown, "findings": [one._asdict() for one in findings]}, as_json, fields(lines))
    return EXIT_REFUSED if findings else 0


def _ask_ledger(config: GatewayConfig, routes: list[dict[str, Any]]) -> tuple[list[Finding], str]:
    """Return what the department's node says of the routes, and its department; add to each the keys that its rows must have."""
    from sdk.client import Client
    from sdk.errors import RequestRefused
    from sdk.gateway.parts import find_department, load_account
    from sdk.gateway.settings_check import check_routes, unnamed_items
    from sdk.system_contracts.catalogue import Catalogue

    with Client(config.node, load_account(config)) as client:
        department = find_department(client)

        def find(code: str) -> ResourceRecord | None:
            try:
                return Catalogue(client).resource(code)
            except RequestRefused as error:
                if error.code != "RESOURCE_UNKNOWN":
                    raise
                return None

        made = config.make_routes()
        for shown, route in zip(routes, made, strict=True):
            resource = find(route.resource)
            shown["keys"] = [] if resource is None else [*route.shape.fields, *unnamed_items(route, resource)]
        return check_routes(made, department, find), department


def _route_line(route: dict[str, Any]) -> str:
    keys = route.get("keys")
    return f"{route['resource']}  {'、'.join(keys)}" if keys else str(route["resource"])


@gateway.command("read")
@click.argument("gateway_url", metavar="GATEWAY")
@click.option(
    "--target", default="", help="读取的路径与查询串，不含个人号码 / Path and query to read, without anybody's number."
)
@click.option("--target-file", type=FILE, help="同上，取自文件 / The same, from a file.")
@click.option(
    "--content", type=FILE, help="请求正文（JSON 文件），以 POST 发送 / Body of the request, a JSON file, sent by POST."
)
@click.option("--grant", required=True, help="授权标识 / Id of the grant.")
@click.option("--system", required=True, help="业务系统 / The system that reads.")
@click.option("--case", "case_number", required=True, help="办件编号 / Number of the case.")
@click.option("--case-type", default="", help="案件类型 / Kind of the case.")
@click.option(
    "--store",
    type=FILE,
    help="本方访问记录库；记录并上链 / The own side's store of reads: records there, and on the ledger.",
)
@click.option("--out", type=FILE, required=True, help="应答存入的文件 / File for the answer.")
@url_option
@key_options
@json_option
def read(
    gateway_url: str,
    target: str,
    target_file: Path | None,
    content: Path | None,
    grant: str,
    system: str,
    case_number: str,
    case_type: str,
    store: Path | None,
    out: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """经另一部门的网关 GATEWAY 读取一次，核对回执 / Read once through another department's gateway, and verify its receipt."""
    import contextlib

    from sdk.access_recording.anchorer import Anchorer
    from sdk.access_recording.keeping import open_recorder, policy_of_stream
    from sdk.cli.access_keep import audit_lines
    from sdk.client import Client
    from sdk.documents import read_limited
    from sdk.gateway.consumer import Case, GatewayConsumer

    asked = _target(target, target_file)
    body = b"" if content is None else read_limited(content, MAX_CONTENT_BYTES)
    signer = open_signer(key, password_file)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(url, signer))
        own: Recorder | None = None
        notes: list[tuple[str, object]] = []
        if store is not None:
            department = client.own_department()
            policy = policy_of_stream(client, department)
            notes = audit_lines(policy, store)
            own = stack.enter_context(open_recorder(store, client, department, policy))
            stack.callback(Anchorer(own, client).anchor_all)
        name = check_hex("--grant", grant, 32)
        consumer = stack.enter_context(GatewayConsumer(gateway_url, client, signer, name, system, own))
        method = "POST" if content is not None else "GET"
        answer = consumer.read(asked, Case(case_number, case_type), method=method, content=body)
    out.write_bytes(answer.body)
    result = {
        "status": answer.status,
        "number": answer.read.number,
        "recorder": "0x" + answer.read.recorder.hex(),
        "read_id": "0x" + answer.read.details.read_id.hex(),
        "rows": answer.read.details.rows,
        "columns": list(answer.read.details.columns),
        "out": str(out),
        "is_open_to_audits": None if own is None else not notes,
    }
    text = fields(
        [
            ("状态 / status", answer.status),
            ("读取 / read", f"{answer.read.department} 0x{answer.read.recorder.hex()} {answer.read.number}"),
            ("读取标识 / read id", result["read_id"]),
            ("行数 / rows", answer.read.details.rows),
            ("数据项 / items", "、".join(answer.read.details.columns) or "–"),
            ("应答 / answer", out),
            ("回执 / receipt", "有效 / good"),
            *notes,
        ]
    )
    show(result, as_json, text)


def _target(target: str, target_file: Path | None) -> str:
    """Return the path and query to read; raise InputError where a number of a person stands on the command line."""
    from sdk.documents import read_limited
    from sdk.identity_numbers import has_resident_number

    if bool(target) == (target_file is not None):
        raise click.UsageError("--target 与 --target-file 给出其一 / give one of --target and --target-file")
    if has_resident_number(target):
        raise InputError(
            "IDENTITY_NUMBER",
            "命令行中有公民身份号码，同机的人都能看到：请写入文件，用 --target-file 给出",
            "there is an identity number on the command line, where everybody on this machine sees it: use --target-file",
        )
    found = target if target_file is None else read_limited(target_file, MAX_TARGET_BYTES).decode("utf-8", "replace")
    found = found.strip()
    if not found.startswith("/"):
        raise InputError("TARGET_INVALID", "路径应以 / 开头", "the target begins with /")
    return found
