"""govnode start: run one node until it is told to stop."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE

INDEX_NAME: Final = "explorer.sqlite"


@click.command(cls=Command)
@click.option("--config", type=FILE, required=True, help="节点配置 node.toml / The node's settings.")
def start(config: Path) -> int:
    """启动一个节点，直到收到 SIGTERM 或 Ctrl-C / Run one node until SIGTERM or Ctrl-C.

    日志为 JSON 行，写到标准错误 / The log goes to standard error as lines of JSON.
    """
    from node.config import load_node_config
    from node.process_guard import forbid_reading_memory
    from node.unlocking import start_unlocking
    from verification.codes import normal_base

    settings = load_node_config(config)
    link_base = normal_base(settings.link_base) if settings.link_base else ""
    # Before there is a key in it.
    forbid_reading_memory()
    keys = start_unlocking(settings)
    # Modules are no garbage; the node turns the collector on again.
    gc.disable()
    # Loading the node takes a while: a wrong setting is told before, and the keys are unlocked beside it.
    import uvloop

    from explorer.front import Front
    from explorer.settings import ExplorerSettings, keeping_rules
    from node.process import run_node
    from node.view import NodeView

    http_names = frozenset(name.lower() for name in settings.http_names)
    index_path = Path(settings.data) / INDEX_NAME if settings.explorer else None

    # Starlette and uvicorn name one ASGI application by two types.
    def make_app(view: NodeView) -> Any:
        return Front(view, ExplorerSettings(index_path, http_names, link_base, keeping_rules(settings.sealed_copies)))

    status: int = uvloop.run(run_node(settings, keys, make_app))
    return status
