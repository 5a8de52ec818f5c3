"""govnode status: where a node and its chain stand."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from sdk.client import Client

WATCH_INTERVAL_S: Final = 0.5


@click.command(cls=Command)
@click.option(
    "--watch", is_flag=True, help="追赶区块时显示进度，追上后结束 / Show progress while it catches up, end when it has."
)
@url_option
@json_option
def status(url: str, watch: bool, as_json: bool) -> None:
    """查看节点、区块高度与对等节点 / Show a node, its height and its peers."""
    from sdk.documents import show_time

    with open_client(url) as client:
        found = client.status()
        if watch and found["height"] < found["target_height"]:
            found = _watch(client, found)
    lines = fields(
        [
            ("节点 / node", found["node_name"]),
            ("网络 / network", f"{found['network_name']} ({found['chain_id']})"),
            ("创世哈希 / genesis hash", found["genesis_hash"].removeprefix("0x")),
            ("高度 / height", found["height"]),
            (
                "网络高度 / network's height",
                found["target_height"] if found["target_height"] > found["height"] else None,
            ),
            ("同步受阻 / sync is held up", found["sync_trouble"] or None),
            ("历史 / history", _history(found)),
            ("区块时间 / block time", show_time(found["head_time_ms"])),
            ("共识节点 / validators", found["validator_count"]),
            ("本节点 / this node", _part(found)),
            ("轮次 / round", found["round"] or None),
            ("待入块交易 / waiting transactions", found["pool_transactions"]),
        ]
    )
    peers = [
        (
            peer["name"],
            peer["address"],
            "已连接 / connected" if peer["is_connected"] else f"未连接 / not connected {peer['reason']}",
        )
        for peer in found["peers"]
    ]
    shown = f"{lines}\n\n{table(('对等节点 / peer', '地址 / address', '状态 / state'), peers)}" if peers else lines
    show(found, as_json, shown)


def _watch(client: Client, found: dict[str, Any]) -> dict[str, Any]:
    """Show on standard error how far the node is, a bar on a terminal and lines otherwise; return the status once it has caught up."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
    is_terminal = sys.stderr.isatty()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not is_terminal) as bar:
        task = bar.add_task("追赶区块 / catching up", total=found["target_height"], completed=found["height"])
        shown = -1
        while found["height"] < found["target_height"]:
            bar.update(task, completed=found["height"], total=found["target_height"])
            percent = int(found["sync_percent"])
            if not is_terminal and percent != shown:
                click.echo(f"{percent} % ({found['height']}/{found['target_height']})", err=True)
                shown = percent
            time.sleep(WATCH_INTERVAL_S)
            found = client.status()
        bar.update(task, completed=found["height"], total=found["height"])
    return found


def _history(found: dict[str, Any]) -> str | None:
    """Return from where on the node holds history, None where it holds all of it."""
    base = found.get("base_height", 0)
    if not base:
        return None
    first = found["first_block"]
    return (
        f"自高度 {base} 的快照起：交易与回执自 {base + 1} 起，区块自 {first} 起 / "
        f"from the snapshot of height {base}: transactions and receipts from {base + 1}, blocks from {first} on"
    )


def _part(found: dict[str, Any]) -> str:
    """Return what the node does in consensus, with the reason where a validator does not vote."""
    if not found["is_validator"]:
        return "观察，不投票 / observes, does not vote"
    if found["is_voting"]:
        return "参与投票 / votes"
    return f"弃权 / abstains {found['abstention']}".rstrip()
