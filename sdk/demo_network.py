"""The demonstration's network: a fresh folder, addresses that are free, and nodes that answer."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import Final

from node.config import load_network_file, parse_address
from sdk.client import Client
from sdk.network import NetworkFolder, init_network
from sdk.supervisor import Supervisor
from verification.errors import GovnodeError, InputError

MARKER: Final = ".govnode-demo"
START_TIMEOUT_S: Final = 60.0
POLL_INTERVAL_S: Final = 0.05
KEY_ITERATIONS: Final = 20_000
"""Rounds that harden a guessable password; those of the demonstration are 24 random bytes and live as long as its folder."""


def prepare_folder(folder: Path) -> None:
    """Leave `folder` absent: what an earlier demonstration made is removed, anything else is refused with InputError."""
    if not folder.exists():
        return
    if folder.is_dir() and (folder / MARKER).is_file():
        shutil.rmtree(folder)
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    raise InputError(
        "FOLDER_NOT_EMPTY",
        f"{folder} 不是此前演示所建的文件夹，请用 --folder 另选一个",
        f"{folder} was not made by an earlier demonstration: choose another with --folder",
    )


def make_network(network_toml: Path, folder: Path, *, explorer: bool = True) -> NetworkFolder:
    """Make the network in `folder`; an address of the description that is taken is replaced by a free one of the same host.

    Without `explorer` no node keeps an index: what a bench of the chain alone wants.
    """
    prepare_folder(folder)
    network = load_network_file(network_toml)
    text = network_toml.read_text("utf-8")
    for node in network.nodes:
        for address in (node.p2p, node.http):
            text = text.replace(f'"{address}"', f'"{free_address(address)}"')
    if not explorer:
        text = text.replace("explorer = true", "explorer = false")
    folder.parent.mkdir(parents=True, exist_ok=True)
    description = folder.parent / f".{folder.name}-{os.getpid()}.toml"
    try:
        description.write_text(text, "utf-8")
        made = init_network(description, folder, iterations=KEY_ITERATIONS)
    finally:
        description.unlink(missing_ok=True)
    (folder / MARKER).touch()
    return made


def free_address(text: str) -> str:
    """Return `text` when nothing listens there, else the same host with a port that the system gives."""
    address = parse_address(text)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    for port in (address.port, 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.host, port))
            except OSError:
                continue
            return str(address._replace(port=probe.getsockname()[1]))
    raise InputError(
        "ADDRESS_UNUSABLE", f"本机不能监听 {text}，请修改 network.toml", f"cannot listen on {text}: change network.toml"
    )


def wait_until_ready(network: NetworkFolder, supervisor: Supervisor) -> None:
    """Return when every node answers and sees all its peers; raise GovnodeError with the log's end when one does not come up."""
    deadline = time.monotonic() + START_TIMEOUT_S
    for node in network.nodes:
        with Client(node.url) as client:
            while not _is_ready(client, len(network.nodes) - 1):
                if time.monotonic() > deadline:
                    tail = supervisor.log_tail(node.name)
                    raise GovnodeError(
                        "NODE_NOT_READY",
                        f"节点 {node.name} 在 {START_TIMEOUT_S:.0f} 秒内没有就绪，日志末尾：{tail}",
                        f"{node.name} was not ready within {START_TIMEOUT_S:.0f} s; end of its log: {tail}",
                    )
                time.sleep(POLL_INTERVAL_S)


def wait_until_height(client: Client, height: int, timeout_s: float) -> None:
    """Return when the node's ledger has reached `height`; raise GovnodeError when it has not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if client.status()["height"] >= height:
                return
        except GovnodeError:
            pass
        if time.monotonic() > deadline:
            raise GovnodeError(
                "NODE_BEHIND",
                f"{client.url} 在 {timeout_s:.0f} 秒内没有到达高度 {height}",
                f"{client.url} did not reach height {height} within {timeout_s:.0f} s",
            )
        time.sleep(POLL_INTERVAL_S)


def _is_ready(client: Client, peers: int) -> bool:
    try:
        connected = [peer for peer in client.status()["peers"] if peer["is_connected"]]
    except GovnodeError:
        return False
    return len(connected) >= peers
