"""govnode bench: measurements that print one JSON object and keep it with its conditions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from sdk.bench import batch as batch_bench
from sdk.bench import catalogue as catalogue_bench
from sdk.bench import evm as evm_bench
from sdk.bench.chain import ChainSettings, run_chain_bench
from sdk.bench.recovery import RecoverySettings, quick, run_recovery_bench
from sdk.cli.bilingual import Command, Group
from sdk.cli.options import FILE, FOLDER
from sdk.cli.output import fields, json_option, say, show

_config_option = click.option(
    "--config", type=FILE, default=Path("network.toml"), show_default=True, help="网络描述 / The network's description."
)
_records_option = click.option(
    "--records",
    type=click.IntRange(0, 2_000_000),
    default=1_000_000,
    show_default=True,
    help="事先已有的记录数 / Records beforehand.",
)
_save_option = click.option("--save", type=FOLDER, help="保存结果的文件夹 / Folder to keep the result in.")


@click.group(cls=Group)
def bench() -> None:
    """测量性能 / Measure performance."""


@bench.command(cls=Command)
@_config_option
@click.option(
    "--seconds", type=click.FloatRange(5, 120), default=60.0, show_default=True, help="持续加压秒数 / Seconds of load."
)
@_records_option
@_save_option
@json_option
def chain(config: Path, seconds: float, records: int, save: Path | None, as_json: bool) -> None:
    """四个共识节点的吞吐、时延与 CPU 去向 / Throughput, latency and CPU of four validators on this machine."""
    result = run_chain_bench(ChainSettings(config, seconds, records), lambda step: say(f"… {step}", err=True))
    _tell("chain", result, save, as_json)


@bench.command(cls=Command)
@_config_option
@click.option(
    "--absence-s",
    type=click.FloatRange(1, 600),
    default=10.0,
    show_default=True,
    help="两个节点离开的秒数 / Seconds that two nodes stay away.",
)
@click.option(
    "--absences",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="两个节点离开的次数 / Times that two nodes stay away.",
)
@click.option(
    "--long-absence-s",
    type=click.FloatRange(1, 86_400),
    default=600.0,
    show_default=True,
    help="长时间离开的秒数 / Seconds of the long absence.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1_000),
    default=20,
    show_default=True,
    help="同时杀死全部节点的次数 / Times that all nodes are killed at once.",
)
@click.option(
    "--records",
    type=click.IntRange(200, 2_000_000),
    default=200_000,
    show_default=True,
    help="快照中的记录数 / Records of the chain that is joined by a snapshot.",
)
@click.option(
    "--quick",
    "is_quick",
    is_flag=True,
    help="三分钟的短测，次数与记录都少 / A run of three minutes: fewer repeats, a shorter absence, fewer records.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="随机种子 / Seed that draws the victims and moments."
)
@_save_option
@json_option
def recovery(
    config: Path,
    absence_s: float,
    absences: int,
    long_absence_s: float,
    repeats: int,
    records: int,
    is_quick: bool,
    seed: int,
    save: Path | None,
    as_json: bool,
) -> None:
    """四个共识节点被强行终止后多久恢复出块，快照加入与重放之比 / How soon blocks come again after kills; joining by a snapshot.

    全程约二十分钟，无需准备；期间请勿运行别的程序 / The whole takes some twenty minutes and no preparation; run nothing else.
    """
    settings = RecoverySettings(config, absence_s, absences, long_absence_s, repeats, records, seed)
    if is_quick:
        settings = quick(settings)
    result = run_recovery_bench(settings, lambda step: say(f"… {step}", err=True))
    _tell("recovery", result, save, as_json)


@bench.command(cls=Command)
@_config_option
@click.option(
    "--seconds",
    type=click.FloatRange(5, 120),
    default=60.0,
    show_default=True,
    help="每类交易的加压秒数 / Seconds of load of each kind.",
)
@_records_option
@click.option("--quick", "is_quick", is_flag=True, help="几秒的短测 / A run of some seconds.")
@_save_option
@json_option
def evm(config: Path, seconds: float, records: int, is_quick: bool, save: Path | None, as_json: bool) -> None:
    """四个共识节点上 EVM 合约调用与系统合约调用的吞吐 / Calls of an EVM contract beside those of a system contract."""
    settings = evm_bench.EvmSettings(config, seconds, records=records)
    if is_quick:
        settings = evm_bench.quick(settings)
    result = evm_bench.run_evm_bench(settings, lambda step: say(f"… {step}", err=True))
    _tell("evm", result, save, as_json)


@bench.command(cls=Command)
@click.option(
    "--records",
    type=click.IntRange(1, batch_bench.MAX_RECORDS),
    default=1_000_000,
    show_default=True,
    help="一批的证照数 / Certificates of the batch.",
)
@click.option("--quick", "is_quick", is_flag=True, help="几秒的短测 / A run of some seconds.")
@_save_option
@json_option
def batch(records: int, is_quick: bool, save: Path | None, as_json: bool) -> None:
    """整批颁发：从一个表格到账本，再核验其中的证照 / A batch from its file to the ledger, and proofs of its certificates.

    一百万份约三分钟，临时文件约 1 GB / A million takes some three minutes and 1 GB of temporary files.
    """
    records = batch_bench.QUICK_RECORDS if is_quick else records
    result = batch_bench.run_batch_bench(records, lambda step: say(f"… {step}", err=True))
    _tell("batch", result, save, as_json)


@bench.command(cls=Command)
@click.option(
    "--resources",
    type=click.IntRange(100, catalogue_bench.MAX_RESOURCES),
    default=catalogue_bench.RESOURCES,
    show_default=True,
    help="数据资源数，职责与系统按比例 / Resources; duties and systems in proportion.",
)
@click.option(
    "--tables",
    type=FOLDER,
    help="改为将 samples/make_catalogue.py 所写的表经命令导入四个验证节点 / "
    "Import tables of samples/make_catalogue.py by command through four validators instead.",
)
@click.option("--quick", "is_quick", is_flag=True, help="几秒的短测 / A run of some seconds.")
@_save_option
@json_option
def catalogue(resources: int, tables: Path | None, is_quick: bool, save: Path | None, as_json: bool) -> None:
    """首都目录链上链、建索引、按字词查找的时延 / A capital's directory chain: loaded, indexed, and searched by words.

    全量约半分钟，临时文件约 300 MB；用 --tables 约两分钟，1.5 GB / The whole takes half a minute and 300 MB of temporary files, with
    --tables two minutes and 1.5 GB.
    """
    if tables is not None:
        from sdk.bench.catalogue_network import run_catalogue_network_bench

        result = run_catalogue_network_bench(tables, lambda step: say(f"… {step}", err=True))
        _tell("catalogue-network", result, save, as_json)
        return
    resources = catalogue_bench.QUICK_RESOURCES if is_quick else resources
    result = catalogue_bench.run_catalogue_bench(resources, lambda step: say(f"… {step}", err=True))
    _tell("catalogue", result, save, as_json)


@bench.command(cls=Command)
@_config_option
@click.option(
    "--reads",
    type=click.IntRange(100, 10_000_000),
    default=100_000,
    show_default=True,
    help="经网关的读取次数 / Reads through the gateway.",
)
@click.option(
    "--readers", type=click.IntRange(1, 256), default=32, show_default=True, help="同时读取的个数 / Readers at a time."
)
@_save_option
@json_option
def gateway(config: Path, reads: int, readers: int, save: Path | None, as_json: bool) -> None:
    """访问网关与不经网关的同一数据服务之比，含强行终止 / The gateway beside the same service without it, with kills.

    每次读取最后都与账本核对 / Every read is compared with the ledger in the end.
    """
    from sdk.bench.gateway import GatewaySettings, run_gateway_bench

    result = run_gateway_bench(GatewaySettings(config, reads, readers), lambda step: say(f"… {step}", err=True))
    _tell("gateway", result, save, as_json)


@bench.command(cls=Command)
@click.option(
    "--reads",
    type=click.IntRange(100, 4_000_000),
    default=100_000,
    show_default=True,
    help="双方记录的读取总数 / Reads that both sides recorded.",
)
@click.option("--quick", "is_quick", is_flag=True, help="几秒的短测 / A run of some seconds.")
@_save_option
@json_option
def trace(reads: int, is_quick: bool, save: Path | None, as_json: bool) -> None:
    """带完整性证明的追溯：制作、核验、规则检查的用时、内存与大小 / A trace with its proof: time, memory and size."""
    from sdk.bench.trace import QUICK_READS, run_trace_bench

    reads = QUICK_READS if is_quick else reads
    result = run_trace_bench(reads, lambda step: say(f"… {step}", err=True))
    _tell("trace", result, save, as_json)


def _tell(name: str, result: dict[str, Any], folder: Path | None, as_json: bool) -> None:
    """Print a result, and keep it as JSON under its name and day where a folder is given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time.strftime('%Y-%m-%d')}-{name}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    show(result, as_json, fields(list(result.items())))
