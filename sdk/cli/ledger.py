"""govnode ledger: the stored chain of a stopped node."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE
from sdk.cli.output import EXIT_REFUSED, fail, fields, json_option, say, show

if TYPE_CHECKING:
    from node.ledger_check import LedgerReport

EXIT_UNCHECKED: Final = 2
"""Nothing can be said of the chain: it could not be checked."""
_STAGES: Final = {
    "headers": "区块头 / headers",
    "blocks": "区块 / blocks",
    "state": "状态值 / state values",
    "tables": "数据表 / tables",
}
_PERCENT_STEP: Final = 10

Progress = Callable[[str, int, int], None]


@click.group(cls=Group)
def ledger() -> None:
    """账本 / The ledger."""


@ledger.command("check")
@click.option("--config", type=FILE, required=True, help="已停止节点的 node.toml / Settings of a stopped node.")
@click.option(
    "--from",
    "after_height",
    type=click.IntRange(0, 2**53 - 1),
    metavar="HEIGHT",
    help="只核验此高度之后的区块，相信此高度的区块头 / Check the blocks above this height, believing its header.",
)
@click.option(
    "--trust", type=FILE, help="从信任文件的高度与共识节点集合起核验 / Check from the trust file's height and set."
)
@json_option
def check(config: Path, after_height: int | None, trust: Path | None, as_json: bool) -> int:
    """核验已停止节点的账本：每个区块、签名、状态值与索引 / Verify a stopped node's ledger: blocks, signatures, state, indices.

    从创世起核验时，全部区块在临时文件夹中重新执行，需要与账本相当的磁盘空间 / From genesis every block is executed again
    in a scratch folder beside the ledger, which takes as much disk space.

    退出状态：0 完好，1 有损坏，2 无法核验 / Exit status: 0 sound, 1 damaged, 2 could not be checked.
    """
    if after_height is not None and trust is not None:
        raise click.UsageError("--from or --trust, not both")
    try:
        report = _check(config, after_height or 0, trust)
    except _Unchecked as error:
        fail("UNCHECKED", str(error), EXIT_UNCHECKED)
    import msgspec

    show(msgspec.to_builtins(report) | {"is_sound": report.damage is None}, as_json, _text(report))
    return EXIT_REFUSED if report.damage is not None else 0


class _Unchecked(Exception):
    pass


def _check(config: Path, after_height: int, trust: Path | None) -> LedgerReport:
    """Return the report; raise _Unchecked with the reason why there is none."""
    from node.chain.faults import LocalFault
    from node.config import StartError, load_node_config
    from node.genesis_file import load_genesis
    from node.ledger_check import CheckImpossible, check_ledger
    from node.process import LEDGER_FOLDER
    from sdk.trust import load_trust
    from verification.errors import InputError

    try:
        settings = load_node_config(config)
        genesis = load_genesis(Path(settings.genesis))
        trusted_set = None
        if trust is not None:
            trusted = load_trust(trust)
            if trusted.genesis_hash != genesis.hash.hex():
                raise _Unchecked(f"信任文件 {trust} 属于另一个网络 / the trust file {trust} is of another network")
            after_height, trusted_set = trusted.height, bytes.fromhex(trusted.next_validators_hash)
        data = Path(settings.data)
        if not data.is_dir():
            raise _Unchecked(f"没有数据文件夹 {data} / there is no data folder {data}")
        with tempfile.TemporaryDirectory(prefix="ledger-check-", dir=data) as scratch, _progress() as progress:
            return check_ledger(
                data / LEDGER_FOLDER,
                genesis,
                Path(scratch),
                progress,
                after_height=after_height,
                trusted_set=trusted_set,
            )
    except (StartError, InputError, LocalFault, CheckImpossible) as error:
        raise _Unchecked(str(error)) from None
    except OSError as error:
        raise _Unchecked(f"系统操作失败 / the system refused: {error}") from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """Give what shows progress on standard error: a bar on a terminal, a line every ten per cent otherwise."""
    if not sys.stderr.isatty():
        yield _PercentLines()
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES[stage])
            bars.update(tasks[stage], completed=done, total=total or None)

        yield advance


class _PercentLines:
    """Prints a stage's percentage whenever it has passed the next ten."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take how far a stage is; one whose end is not known prints nothing."""
        if not total:
            return
        percent = 100 * done // total // _PERCENT_STEP * _PERCENT_STEP
        if percent > self._shown.get(stage, 0):
            self._shown[stage] = percent
            say(f"{_STAGES[stage]} {percent} % ({done}/{total})", err=True)


def _text(report: LedgerReport) -> str:
    damage = report.damage
    checked = f"{report.first_height} - {report.height}" if report.blocks else "-"
    lines = [
        ("高度 / height", report.height),
        ("核验的区块 / blocks checked", f"{report.blocks} ({checked})"),
        ("重新执行的区块 / blocks executed again", report.executed),
        ("交易 / transactions", report.transactions),
        ("状态值 / state values", report.state_values),
        ("结论 / verdict", "完好 / sound" if damage is None else "有损坏 / damaged"),
    ]
    if report.base_height:
        lines.insert(2, ("沿创世验证的共识节点变更 / set changes followed from genesis", report.set_changes))
        lines.append(("未核验的 / not checked", _unchecked(report)))
    if damage is not None:
        lines += [
            ("损坏的高度 / damaged height", damage.height),
            ("损坏的字段 / damaged field", damage.field),
            ("", damage.reason),
            (
                "怎么办 / what to do",
                "检查磁盘；只移走 data/ledger 后启动，节点会从其他节点取回区块 / "
                "check the disk; move data/ledger alone away and start: the node fetches the blocks from its peers",
            ),
        ]
    return fields(list(lines))


def _unchecked(report: LedgerReport) -> str:
    """Return what nobody can check in a ledger that began from a snapshot, in plain words."""
    base = report.base_height
    return (
        f"账本自高度 {base} 的快照开始：没有重新执行区块，因为没有该高度之前的状态；已核验的是签名、证书、区块内容与现在的全部状态值，"
        f"索引表只核验了交易与共识节点变更 / the ledger began from the snapshot of height {base}: no block was executed again, "
        "since the state before them is not here; checked are signatures, certificates, contents of blocks and every value of the "
        "present state, and of the indices those of transactions and set changes"
    )
