"""govnode start: run one node until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE


@click.command(cls=Command)
@click.option("--config", type=FILE, required=True, help="节点配置 node.toml / The node's settings.")
def start(config: Path) -> int:
    """启动一个节点，直到收到 SIGTERM 或 Ctrl-C / Run one node until SIGTERM or Ctrl-C.

    日志为 JSON 行，写到标准错误 / The log goes to standard error as lines of JSON.
    """
    import uvloop

    from explorer.app import create_app
    from node.config import load_node_config
    from node.process import run_node

    status: int = uvloop.run(run_node(load_node_config(config), create_app))
    return status
