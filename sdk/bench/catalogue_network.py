"""The catalogue bench on a network: a capital's tables imported by command through four validators, indexed and searched over HTTP."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from node.genesis_file import load_genesis
from node.ledger.ledger import Ledger
from sdk.bench.catalogue import folder_megabytes
from sdk.bench.loaded_network import machine, percentile
from sdk.client import Client
from sdk.demo_network import make_network, wait_until_ready
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor
from verification.errors import GovnodeError

TABLES: Final = ("duties.csv", "systems.csv", "resources.csv")
CATCH_UP_LIMIT_S: Final = 600.0
POLL_S: Final = 0.05
ROUNDS: Final = 20
MAX_LISTED: Final = 50
LIST: Final = "/api/v1/catalogue"
PAGE: Final = "/catalogue"
SEARCHES: Final = ("", "登记", "企业登记", "业", "车辆 处罚", "有效期止", "（432）", "没有这样的资源")
"""Nothing, a common word, a longer one, one character, two words, a word of an item only, some resources, none."""
HEADLINES: Final = ("import_s", "rest_ms_p50", "page_ms_p50")

Say = Callable[[str], None]


def run_catalogue_network_bench(tables: Path, say: Say) -> dict[str, Any]:
    """Return the figures of one import of the tables that samples/make_catalogue.py wrote, as one object with units in its keys.

    The import is the command's, on the network that is described beside the tables, all of it on this machine. `index_behind_s` is how
    long after the command the index has its last block; searches are whole answers over HTTP, none of them from a cache.
    """
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        network = make_network(tables / "network.toml", Path(temporary) / "network")
        supervisor = Supervisor(network.folder, [node.name for node in network.nodes], dict(os.environ))
        with supervisor, Client(network.nodes[0].url) as client:
            wait_until_ready(network, supervisor)
            load_before = os.getloadavg()[0]
            say(f"importing through {len(network.nodes)} validators")
            figures = _imported(network, client, tables)
            figures["node_peak_mb"] = max(_peak_mb(supervisor.process_id(node.name)) for node in network.nodes)
            say("importing again: everything is there")
            start = time.perf_counter()
            _import(network, tables)
            figures["again_s"] = round(time.perf_counter() - start, 1)
            say("searching")
            figures |= _searched("rest", network, LIST) | _searched("page", network, PAGE)
            load_after = os.getloadavg()[0]
        figures |= _blocks(network)
    conditions = {"validators": len(network.nodes), "load_before": load_before, "load_after": load_after}
    return {name: figures.pop(name) for name in HEADLINES} | figures | conditions | machine()


def _imported(network: NetworkFolder, client: Client, tables: Path) -> dict[str, Any]:
    start = time.perf_counter()
    said, peak_mb = _import(network, tables)
    import_s = time.perf_counter() - start
    height = client.status()["height"]
    while _index_height(network) < height:
        if time.perf_counter() - start > import_s + CATCH_UP_LIMIT_S:
            raise GovnodeError(
                "INDEX_BEHIND", f"索引未到高度 {height}，见节点日志", f"no index up to {height}: see the node's log"
            )
        time.sleep(POLL_S)
    behind_s = time.perf_counter() - start - import_s
    return {
        "import_s": round(import_s, 1),
        "rows_per_s": round(said["done"] / import_s),
        "index_behind_s": round(behind_s, 2),
        "importer_peak_mb": peak_mb,
        **{name: said[name] for name in ("rows", "done", "to_be_approved", "faults", "transactions")},
    }


def _import(network: NetworkFolder, tables: Path) -> tuple[dict[str, Any], float]:
    """Run the command and return what it says, and the most memory that it took, in MB."""
    command = [sys.executable, "-m", "sdk.cli.main", "catalogue", "import", *(str(tables / name) for name in TABLES)]
    command += ["--keys", str(network.accounts[0].key.parent), "--url", network.nodes[0].url, "--json"]
    peak_mb = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(POLL_S)
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.read() or "{}")
    if "done" not in said:
        raise GovnodeError("IMPORT_FAILED", "导入未成，原因见上", "the import failed: its error stands above")
    return said, peak_mb


def _index_height(network: NetworkFolder) -> int:
    _, body = _get(HTTPConnection(network.nodes[0].http), "/metrics")
    found = next(line for line in body.decode().splitlines() if line.startswith("govnode_index_height "))
    return int(float(found.split()[1]))


def _searched(name: str, network: NetworkFolder, path: str) -> dict[str, Any]:
    connection = HTTPConnection(network.nodes[0].http)
    every: list[float] = []
    by_words = {}
    for words in SEARCHES:
        times = []
        for turn in range(ROUNDS):
            # Each asks for a list of its own length: the same answer again would come from the node's cache.
            target = f"{path}?{urlencode({'q': words, 'limit': MAX_LISTED - turn})}"
            milliseconds, _ = _get(connection, target)
            times.append(milliseconds)
        by_words[words] = round(statistics.median(times), 2)
        every += times
    connection.close()
    found = {"ms_p50": percentile(every, 50), "ms_p95": percentile(every, 95), "ms_by_words": by_words}
    return {f"{name}_{key}": value for key, value in found.items()}


def _get(connection: HTTPConnection, target: str) -> tuple[float, bytes]:
    """Return after how many milliseconds an answer was there, and the answer."""
    start = time.perf_counter()
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    milliseconds = (time.perf_counter() - start) * 1e3
    if answer.status != HTTPStatus.OK:
        raise GovnodeError("ANSWER_INVALID", f"{target} 返回 {answer.status}", f"{target} answers {answer.status}")
    return milliseconds, body


def _blocks(network: NetworkFolder) -> dict[str, Any]:
    """Return what the first node's blocks come to, those with transactions; no node may run."""
    folder = network.nodes[0].config.parent / "data"
    ledger = Ledger.open(folder / "ledger", load_genesis(network.genesis))
    try:
        heights = [height for height in range(1, ledger.height + 1) if ledger.receipts(height)]
        sizes = [len(ledger.sealed_block_bytes(height)) / 1e3 for height in heights]
        counts = [len(ledger.receipts(height)) for height in heights]
    finally:
        ledger.close()
    return {
        "blocks": len(heights),
        "block_kb_p50": percentile(sizes, 50),
        "block_kb_max": percentile(sizes, 100),
        "transactions_per_block_p50": percentile(counts, 50),
        "blocks_mb": round(sum(sizes) / 1e3, 1),
        "ledger_mb": folder_megabytes(folder / "ledger"),
        "data_mb": folder_megabytes(folder),
    }


def _peak_mb(process_id: int | None) -> float:
    """Return the most memory that a process has taken, 0 where it is gone."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return next((round(int(line.split()[1]) / 1e3, 1) for line in lines if line.startswith("VmHWM")), 0.0)
