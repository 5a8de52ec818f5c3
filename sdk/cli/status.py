"""govnode status: where a node and its chain stand."""

from __future__ import annotations

from typing import Any

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, show, table


@click.command(cls=Command)
@url_option
@json_option
def status(url: str, as_json: bool) -> None:
    """查看节点、区块高度与对等节点 / Show a node, its height and its peers."""
    from sdk.documents import show_time

    with open_client(url) as client:
        found = client.status()
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


def _part(found: dict[str, Any]) -> str:
    """Return what the node does in consensus, with the reason where a validator does not vote."""
    if not found["is_validator"]:
        return "观察，不投票 / observes, does not vote"
    if found["is_voting"]:
        return "参与投票 / votes"
    return f"弃权 / abstains {found['abstention']}".rstrip()
