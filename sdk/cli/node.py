"""govnode node: what an operator does to a stopped node."""

from __future__ import annotations

import time
from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE
from sdk.cli.output import EXIT_REFUSED, fail, json_option, show


@click.group(cls=Group)
def node() -> None:
    """已停止的节点 / A stopped node."""


@node.command("override")
@click.option("--config", type=FILE, required=True, help="已停止节点的 node.toml / Settings of a stopped node.")
@click.option(
    "--above-height",
    type=click.IntRange(0, 2**62 - 1),
    metavar="HEIGHT",
    required=True,
    help="密钥只在此高度之上重新投票 / The key votes again above this height only.",
)
@click.option("--reason", required=True, help="原因，记入数据文件夹 / Why; noted in the data folder.")
@json_option
def override(config: Path, above_height: int, reason: str, as_json: bool) -> None:
    """让弃权的共识节点在某高度之上重新投票 / Let an abstaining validator vote again above a height.

    只在确知此密钥在更高处从未签名时使用：否则会造成重复签名 / Only where it is known that this key signed nothing above: a
    second signature would be evidence against it. 记录于 overrides.jsonl / The act is noted in overrides.jsonl.
    """
    import msgspec

    from node.config import load_node_config
    from node.driver.override import OverrideRefused, write_override
    from node.ledger.storage import DatabaseInUse, Storage
    from node.process import LEDGER_FOLDER

    data = Path(load_node_config(config).data)
    try:
        # Held open meanwhile: no node can start in between.
        storage = Storage(data / LEDGER_FOLDER)
    except DatabaseInUse:
        fail("NODE_RUNS", "节点正在运行，请先停止 / the node is running; stop it first", EXIT_REFUSED)
    try:
        act = write_override(data, above_height, reason, time.time_ns() // 1_000_000)
    except OverrideRefused as error:
        fail("OVERRIDE_REFUSED", str(error), EXIT_REFUSED)
    finally:
        storage.close()
    text = f"密钥将在高度 {above_height} 之上重新投票 / this key votes again above height {above_height}"
    show(msgspec.to_builtins(act), as_json, text)
