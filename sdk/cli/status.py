"""govnode status: where a node and its chain stand."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, say, show, table

if TYPE_CHECKING:
    from sdk.client import Client

WATCH_INTERVAL_S: Final = 0.5
JOIN_PAUSE_S: Final = 30.0
"""How long a node may take from the end of its join until it answers again."""
SLOW_HEIGHT_MS: Final = 10_000
"""A block that is older and not yet followed by the one under way says that votes are missing."""

_BLOCKS: Final = "追赶区块 / catching up"


@click.command(cls=Command)
@click.option(
    "--watch", is_flag=True, help="追赶区块时显示进度，追上后结束 / Show progress while it catches up, end when it has."
)
@url_option
@json_option
def status(url: str, watch: bool, as_json: bool) -> None:
    """查看节点、区块高度与对等节点 / Show a node, its height and its peers."""
    from verification.days import show_time

    with open_client(url) as client:
        found = client.status()
        if watch and _is_behind(found):
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
            ("以快照加入 / joining by snapshot", _join(found)),
            (
                "发来错误数据的节点 / peers that sent bad data",
                ", ".join((found["join"] or {}).get("dropped", ())) or None,
            ),
            ("同步受阻 / sync is held up", found["sync_trouble"] or None),
            ("历史 / history", _history(found)),
            ("区块时间 / block time", show_time(found["head_time_ms"])),
            ("共识节点 / validators", found["validator_count"]),
            ("不在的共识节点 / validators away", ", ".join(found["away_validators"]) or None),
            ("尚未投票 / no vote yet from", _awaited(found)),
            ("本节点 / this node", _part(found)),
            ("轮次 / round", f"{found['round']} {found['step']}" if found["round"] or _awaited(found) else None),
            ("重复签名 / double signatures", found["equivocations"] or None),
            ("待入块交易 / waiting transactions", found["pool_transactions"]),
        ]
    )
    peers = [
        (
            peer["name"],
            peer["address"],
            _peer_state(peer),
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
        task = bar.add_task("")
        shown = ""
        while _is_behind(found):
            what, done, total = _progress(found)
            bar.update(task, description=what, completed=done, total=total)
            line = f"{what} {int(found['sync_percent'])} %"
            if not is_terminal and line != shown:
                say(f"{line} ({done}/{total})", err=True)
                shown = line
            time.sleep(WATCH_INTERVAL_S)
            found = _next_status(client, found)
        bar.update(task, description=_BLOCKS, completed=found["height"], total=found["height"])
    return found


def _is_behind(found: dict[str, Any]) -> bool:
    return found["join"] is not None or bool(found["height"] < found["target_height"])


def _progress(found: dict[str, Any]) -> tuple[str, int, int]:
    """Return what the node is fetching, how much of it is there, and how much there is."""
    join = found["join"]
    if join is None:
        return _BLOCKS, found["height"] - found["sync_from_height"], found["target_height"] - found["sync_from_height"]
    # Which block is the last one needed shows only by its time.
    return "快照 / snapshot", join["chunks_done"], max(join["chunks_total"], 1)


def _next_status(client: Client, found: dict[str, Any]) -> dict[str, Any]:
    """Return the node's status; the last one while a node that ends its join opens its new ledger and cannot answer."""
    from verification.errors import GovnodeError

    deadline_s = time.monotonic() + JOIN_PAUSE_S
    while True:
        try:
            return client.status()
        except GovnodeError:
            if found["join"] is None or time.monotonic() > deadline_s:
                raise
            time.sleep(WATCH_INTERVAL_S)


def _join(found: dict[str, Any]) -> str | None:
    """Return how far a join by snapshot has come, None where there is none under way."""
    join = found["join"]
    if join is None:
        return None
    if not join["height"]:
        return "询问快照 / asking for an offer"
    return (
        f"{join['percent']} %：高度 {join['height']}，数据块 {join['chunks_done']}/{join['chunks_total']}，区块 {join['blocks_done']} / "
        f"height {join['height']}, chunks {join['chunks_done']} of {join['chunks_total']}, blocks {join['blocks_done']}"
    )


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


def _peer_state(peer: dict[str, Any]) -> str:
    """Return whether a peer is connected, and that node.toml does not list it where it was admitted without."""
    if not peer["is_connected"]:
        from node.wire.away import IN_CHINESE

        why = IN_CHINESE.get(peer["reason_code"], "")
        return f"未连接：{why} / not connected: {peer['reason']}"
    if not peer.get("is_listed", True):
        return "已连接，未列入 node.toml / connected, not listed in node.toml"
    return "已连接 / connected"


def _awaited(found: dict[str, Any]) -> str | None:
    """Return whose votes a height lacks that is under way for long, None where all is in its course."""
    if time.time() * 1_000 - found["head_time_ms"] < SLOW_HEIGHT_MS:
        return None
    return ", ".join(found["awaited_validators"]) or None


def _part(found: dict[str, Any]) -> str:
    """Return what the node does in consensus, with the reason where a validator does not vote."""
    if not found["is_validator"]:
        return "观察，不投票 / observes, does not vote"
    if found["is_voting"]:
        return "参与投票 / votes"
    if not found["abstention"]:
        return "在追赶，暂不投票 / catching up, does not vote yet"
    zh, _, en = found["abstention"].partition(" / ")
    return f"弃权：{zh} / abstains: {en or zh}"
