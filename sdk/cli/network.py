"""govnode network: set up a network from its description, and add nodes to it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, FOLDER
from sdk.cli.output import fields, json_option, show, table


@click.group(cls=Group)
def network() -> None:
    """建立与扩充网络 / Set up a network, and add to it."""


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


@network.command("trust")
@click.option(
    "--genesis", type=FILE, default=Path("genesis.json"), show_default=True, help="创世文件 / The network's genesis."
)
@click.option(
    "--root",
    "roots",
    type=FILE,
    multiple=True,
    help="另加的根证书（PEM），可多次给出 / A root certificate to add (PEM); may be given again.",
)
@click.option("--out", type=FILE, required=True, help="写入的信任文件 / The trust file to write.")
@json_option
def trust(genesis: Path, roots: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """由创世文件写出信任文件，供核验者使用 / Write a verifier's trust file from a genesis file.

    根证书用于核验证照文件与加注件的签名人 / The root certificates are for the signers of documents and annotated copies.
    """
    from node.genesis_file import load_genesis
    from sdk.trust import add_roots, save_trust
    from verification.trust import trust_of_genesis

    made = add_roots(trust_of_genesis(load_genesis(genesis)), roots)
    save_trust(out, made)
    result = {"trust": str(out), "genesis_hash": made.genesis_hash, "root_certificates": len(made.root_certificates)}
    summary = fields(
        [
            ("信任文件 / trust file", out),
            ("网络 / network", made.network_name),
            ("创世哈希 / genesis hash", made.genesis_hash),
            ("根证书 / root certificates", len(made.root_certificates)),
        ]
    )
    show(result, as_json, summary)


@network.command("add-node")
@click.argument("name")
@click.option(
    "--network",
    "folder",
    type=FOLDER,
    required=True,
    help="network init 所建的文件夹 / The folder that network init made.",
)
@click.option("--department", required=True, help="所属部门的统一社会信用代码 / Code of the department that runs it.")
@click.option("--p2p", required=True, help="节点间通信地址 / Where it listens for other nodes, host:port.")
@click.option("--http", required=True, help="HTTP 地址 / Where it serves HTTP, host:port.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=HOST:PORT",
    help="文件夹之外的节点，可多次给出 / A node that is not in the folder; may be given again.",
)
@click.option(
    "--explorer/--no-explorer", default=True, show_default=True, help="是否提供浏览器页面 / Whether it serves pages."
)
@click.option(
    "--join",
    type=click.Choice(["blocks", "snapshot"]),
    default="blocks",
    show_default=True,
    help="取回全部区块，或从状态快照开始 / Whether it fetches every block, or begins from a snapshot of the state.",
)
@json_option
def add_node(
    folder: Path,
    name: str,
    department: str,
    p2p: str,
    http: str,
    peers: tuple[str, ...],
    explorer: bool,
    join: str,
    as_json: bool,
) -> None:
    """为网络新增节点 NAME，作为观察节点 / Make one more node, which observes.

    其他节点无须改动或重启 / No other node has to change or restart.
    """
    from node.config import NetworkNode, PeerConfig
    from sdk.node_folder import add_node as make

    elsewhere = [PeerConfig(*peer.partition("=")[::2]) for peer in peers]
    made = make(
        folder, NetworkNode(name, department, p2p, http, validator=False, explorer=explorer), elsewhere, join=join
    )
    result = {
        "name": made.name,
        "department": made.department,
        "config": str(made.config),
        "p2p": p2p,
        "url": f"http://{http}",
        "validator_public_key": made.validator_key.hex(),
        "peers": made.peers,
    }
    shown = fields(
        [
            ("节点 / node", made.name),
            ("部门 / department", made.department),
            ("配置 / settings", made.config),
            ("共识公钥 / validator key", made.validator_key.hex()),
            ("对等节点 / peers", ", ".join(made.peers)),
            ("启动 / start it with", f"govnode start --config {shlex.quote(str(made.config))}"),
        ]
    )
    show(result, as_json, shown)
