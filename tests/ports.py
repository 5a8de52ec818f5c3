"""Addresses for the networks that tests run: ports below those of outgoing connections, each worker from a range of its own.

A port that the system gave and that is closed again may be another process's outgoing one a moment later; a node that is down holds none.
"""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Final

from node.config import load_network_file

NETWORK: Final = Path(__file__).parents[1] / "network.toml"
FIRST_PORT: Final = 20_000
PORTS_PER_WORKER: Final = 3_000
WORKERS: Final = 4

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_given = random.Random(os.getpid()).randrange(PORTS_PER_WORKER)


def free_ports(count: int) -> list[int]:
    """Return ports on 127.0.0.1 that nothing holds at this moment and that no earlier call gave lately."""
    global _given
    ports: list[int] = []
    while len(ports) < count:
        _given = (_given + 1) % PORTS_PER_WORKER
        port = FIRST_PORT + _worker * PORTS_PER_WORKER + _given
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


def describe_network(folder: Path, host: str = "127.0.0.1") -> Path:
    """Write the project's network description with addresses of `host` that are free, and return its path."""
    text = NETWORK.read_text("utf-8")
    addresses = [address for node in load_network_file(NETWORK).nodes for address in (node.p2p, node.http)]
    for address, port in zip(addresses, free_ports(len(addresses)), strict=True):
        text = text.replace(f'"{address}"', f'"{host}:{port}"')
    path = folder / NETWORK.name
    path.write_text(text, "utf-8")
    return path
