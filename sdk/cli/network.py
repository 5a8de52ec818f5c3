"""govnode network: set up a network from its description."""

from __future__ import annotations

from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, FOLDER
from sdk.cli.output import fields, json_option, show, table


@click.group(cls=Group)
def network() -> None:
    """建立网络 / Set up a network."""


@network.command("init")
@click.option(
    "--config",
    "config",
    type=FILE,
    default=Path("network.toml"),
    show_default=True,
    help="网络描述 / The network's description.",
)
@click.option("--out", type=FOLDER, required=True, help="新文件夹 / The folder to make; absent or empty.")
@json_option
def init(config: Path, out: Path, as_json: bool) -> None:
    """生成全部密钥、证书、创世与节点配置 / Make every key, certificate, the genesis and each node's settings.

    口令随机生成，存于权限 0600 的文件 / Passwords are random and stand in files of mode 0600.
    """
    from sdk.network import init_network

    made = init_network(config, out)
    result = {
        "folder": str(made.folder),
        "network": made.name,
        "chain_id": made.chain_id,
        "genesis_hash": made.genesis_hash.hex(),
        "genesis": str(made.genesis),
        "trust": str(made.trust),
        "nodes": [
            {
                "name": n.name,
                "department": n.department,
                "config": str(n.config),
                "p2p": n.p2p,
                "url": n.url,
                "validator": n.is_validator,
            }
            for n in made.nodes
        ],
        "accounts": [
            {
                "name": a.name,
                "department": a.department,
                "roles": a.roles,
                "key": str(a.key),
                "password_file": str(a.password_file),
                "holder_secret": str(a.holder_secret),
            }
            for a in made.accounts
        ],
    }
    summary = fields(
        [
            ("网络 / network", made.name),
            ("链号 / chain id", made.chain_id),
            ("创世哈希 / genesis hash", made.genesis_hash.hex()),
            ("信任文件 / trust file", made.trust),
        ]
    )
    nodes = table(
        ("节点 / node", "部门 / department", "HTTP", "配置 / settings"),
        [(n.name, n.department, n.url, str(n.config)) for n in made.nodes],
    )
    accounts = table(
        ("账户 / account", "部门 / department", "角色 / roles", "密钥 / key"),
        [(a.name, a.department, ", ".join(a.roles), str(a.key)) for a in made.accounts],
    )
    show(result, as_json, f"{summary}\n\n{nodes}\n\n{accounts}")
