"""govnode demo: the whole mission on one machine, then the network stays up until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from contracts.accounts import DEPLOYER
from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, PASSWORD_FILE_VARIABLE
from sdk.cli.output import json_option
from sdk.demo import Demonstration
from sdk.demo_network import make_network, wait_until_ready
from sdk.demo_stage import Trial
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor

DEFAULT_FOLDER: Final = Path("demo-network")
SAMPLE_CONTRACT: Final = Path("contracts/samples/Registry.json")
"""In a checkout, which is where the demonstration is run."""


@click.command(cls=Command)
@click.option(
    "--config", type=FILE, default=Path("network.toml"), show_default=True, help="网络描述 / The network's description."
)
@click.option(
    "--samples", type=FOLDER, default=Path("samples"), show_default=True, help="样例文件夹 / The folder of samples."
)
@click.option(
    "--folder",
    type=FOLDER,
    default=DEFAULT_FOLDER,
    show_default=True,
    help="建网络的文件夹 / Where to make the network.",
)
@click.option("--once", is_flag=True, help="演示完即结束 / End after the demonstration.")
@json_option
def demo(config: Path, samples: Path, folder: Path, once: bool, as_json: bool) -> int:
    """建立四部门网络并演示全部功能 / Make a network of four departments and show all that it does."""
    started = time.monotonic()
    console = Console(stderr=as_json, highlight=False)
    # A termination asked for from outside ends the nodes too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    steps = _Steps(console)
    network = make_network(config, folder)
    steps.say(
        f"建立网络 {network.name}：{len(network.departments)} 个部门、{len(network.nodes)} 个节点，密钥与国密证书全部新生成",
        f"made a network of {len(network.departments)} departments and {len(network.nodes)} nodes; all keys and SM2 certificates are new",
    )
    try:
        with (
            Supervisor(network.folder, [node.name for node in network.nodes], _node_environment()) as supervisor,
            Demonstration(network, supervisor, samples, steps.say, steps.progress) as demonstration,
        ):
            wait_until_ready(network, supervisor)
            steps.say(
                "四个共识节点已启动，经国密 TLS 1.3 互联",
                "four validators run, joined by TLS 1.3 with SM2, SM3 and SM4",
            )
            summary = demonstration.run()
            summary.elapsed_s = time.monotonic() - started
            _finish(console, network, demonstration, as_json)
            if not once:
                console.print("\n按 Ctrl-C 结束 / Ctrl-C ends the network", style="bold")
                # Whoever kills a node to see what happens would take the one started again for the one that was killed.
                console.print(
                    "此前中止的节点会自动重新启动 / a node that dies or is killed before that is started again"
                )
                threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\n已停止全部节点 / all nodes stopped")
        return 0 if not once else 130
    console.print(
        "\n已停止全部节点；不加 --once 则保持运行 / all nodes stopped; without --once they stay up", soft_wrap=True
    )
    return 0


def _node_environment() -> dict[str, str]:
    """Return this process's environment without what would make nodes read another password than their own."""
    return {name: value for name, value in os.environ.items() if name != PASSWORD_FILE_VARIABLE}


class _Steps:
    """Prints one numbered line a step, Chinese above English, and a bar while certificates are issued."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def say(self, zh: str, en: str, files: Sequence[Path] = ()) -> None:
        """Print a step that has been done, and where what it left can be opened."""
        self._end_bar()
        self._count += 1
        self._console.print(f"[bold green]✓ {self._count:>2}[/] {zh}\n     [dim]{en}[/]", soft_wrap=True)
        for file in files:
            self._console.print(f"     [cyan]→ {escape(str(file))}[/]", soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        """Show how far a long step is."""
        if not self._console.is_terminal:
            return
        if self._bar is None:
            columns = (TextColumn("     颁发证照 / issuing"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _finish(console: Console, network: NetworkFolder, demonstration: Demonstration, as_json: bool) -> None:
    summary = demonstration.summary
    if as_json:
        addresses = {node.name: node.url for node in network.nodes}
        sys.stdout.write(
            msgspec.json.encode({"summary": summary, "folder": str(network.folder), "nodes": addresses}).decode() + "\n"
        )
        sys.stdout.flush()
        return
    console.print(
        f"\n[bold]完成 / done[/]  {summary.issued} 份证照与一批 {summary.batch:,} 份 / certificates and a batch of {summary.batch:,} · "
        f"区块高度 / height {summary.height} · "
        f"离线核验 / offline check {summary.verify_ms:.1f} ms · 共用时 / in all {summary.elapsed_s:.1f} s",
        soft_wrap=True,
    )
    for node in network.nodes:
        console.print(f"  {node.name}  {node.url}/  API {node.url}/docs", soft_wrap=True)
    first = network.nodes[0].url
    console.print(
        f"  核验页面 / verify a certificate, file or photo: {first}/verify\n"
        f"  批次 / batches: {first}/batches  数据目录 / catalogue: {first}/catalogue  开放数据 / open data: {first}/catalogue/open-data\n"
        f"  数据申请 / requests: {first}/requests  待办 / due: {first}/due\n"
        f"  访问记录 / access records: {first}/access  审计 / audits: {first}/audits\n"
        f"  离线核验页，存盘后断网可用 / a page to save, which verifies without a network: {first}/offline-verifier.html\n"
        "\n[bold]自己试试 / try by hand[/]",
        soft_wrap=True,
    )
    trials = demonstration.trials
    deployer = next((account for account in network.accounts if DEPLOYER in account.roles), None)
    if deployer is not None and SAMPLE_CONTRACT.is_file():
        signing = ["--url", first, "--key", str(deployer.key), "--password-file", str(deployer.password_file)]
        trials.append(Trial("部署合约", "deploy a contract", ("contract", "deploy", str(SAMPLE_CONTRACT), *signing)))
    for trial in trials:
        # Printed as it is: what stands in brackets is no markup, and nothing is wrapped.
        console.print(f"  # {trial.zh} / {trial.en}", style="dim", soft_wrap=True, markup=False)
        console.print(f"  {shlex.join([_program(), *trial.arguments])}", soft_wrap=True, markup=False)


def _program() -> str:
    """Return how this program was called, so that what is printed can be typed again in the same folder."""
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "govnode" else "govnode"
