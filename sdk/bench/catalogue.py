"""The catalogue bench: a capital's directory chain put on a ledger, indexed as a node indexes it, and searched."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from contracts import registry
from contracts.accounts import PUBLISHER
from contracts.data_sharing.catalogue import load_resource
from contracts.data_sharing.directories import Duty, System
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.identifiers import uscc_check_character
from node.chain.genesis import GenesisAccount, GenesisDepartment
from node.chain.transaction import VerifiedTransaction
from node.ledger.ledger import Ledger
from node.stages import StageClock
from sdk.bench.issued_chain import MadeChain
from sdk.bench.loaded_network import machine
from sm_crypto.sm2 import PrivateKey

DEPARTMENTS: Final = 50
DUTIES: Final = 8_000
SYSTEMS: Final = 1_900
RESOURCES: Final = 44_000
MAX_RESOURCES: Final = 500_000
QUICK_RESOURCES: Final = 1_000
HEADLINES: Final = ("search_ms_p50", "search_ms_p95", "resources_per_s")
RESOURCES_PER_CALL: Final = 30
"""A transaction's data has at most 96 KiB."""
ENTRIES_PER_CALL: Final = 100
CALLS_PER_BLOCK: Final = 20
CALL_GAS: Final = 25_000_000
ROUNDS: Final = 20
PAGE: Final = 50

_THINGS: Final = (
    "企业",
    "房屋",
    "土地",
    "车辆",
    "学校",
    "医院",
    "从业人员",
    "工程项目",
    "食品经营",
    "道路",
    "河道",
    "老年人",
)
_MATTERS: Final = ("登记", "许可", "备案", "年检", "处罚", "监测", "补贴", "资格", "合同", "投诉", "档案", "缴费")
SEARCHES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("", {}),
    ("登记", {}),
    ("企业登记", {}),
    ("业", {}),
    ("车辆 处罚", {}),
    ("办理日期", {}),
    ("信息4321", {}),
    ("没有这样的资源", {}),
    ("许可", {"sharing_type": 1, "is_withdrawn": 0}),
    ("许可", {"department": "last"}),
)
"""Nothing, a common word, a longer one, one character, two words, a word of an item only, one resource, none, and filters."""

Say = Callable[[str], None]


class _View:
    """What an index follows: a ledger that does not grow."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Return how to end a subscription to which nothing is ever told."""
        return lambda: None


def run_catalogue_bench(resources: int, say: Say) -> dict[str, Any]:
    """Return the figures of one directory chain as one object with units in its keys; duties and systems in proportion.

    `search_ms_*` are from the words to the first page of 50 records, read off the ledger's state, over SEARCHES one after the other.
    """
    duties, systems = (max(DEPARTMENTS, count * resources // RESOURCES) for count in (DUTIES, SYSTEMS))
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        folder = Path(temporary)
        say(f"{DEPARTMENTS} departments, {duties} duties, {systems} systems, {resources} resources onto a ledger")
        keys = [PrivateKey.generate() for _ in range(DEPARTMENTS)]
        chain = MadeChain(folder, ("ledger",), [_department(number, key) for number, key in enumerate(keys)])
        start = time.perf_counter()
        _load(chain, keys, _duties(duties), _systems(systems, duties), _resources(resources, duties, systems))
        load_s = time.perf_counter() - start
        say("indexing")
        return {
            **_indexed_and_searched(chain.ledgers[0], folder / "index.sqlite", say),
            "resources_per_s": round(resources / load_s),
            "load_s": round(load_s, 2),
            "ledger_mb": folder_megabytes(folder / "ledger"),
            "resources": resources,
            "duties": duties,
            "systems": systems,
            "departments": DEPARTMENTS,
            **machine(),
        }


def _indexed_and_searched(ledger: Ledger, path: Path, say: Say) -> dict[str, Any]:
    """Return how long the index takes to follow the ledger, and how long each search."""
    # Loaded here: no other bench needs the index.
    from explorer.data_sharing.catalogue_queries import find_resources
    from explorer.index import Index

    view: Any = _View(ledger)
    index = Index(view, path, StageClock())
    try:
        start = time.perf_counter()
        index.catch_up()
        index_s = time.perf_counter() - start
        say("searching")
        state, by_search, every = ledger.state(), {}, []
        for text, filters in SEARCHES:
            chosen = {**filters, "department": _code(DEPARTMENTS - 1)} if "department" in filters else filters
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                rows = find_resources(index.engine, None, PAGE, text=text or None, **chosen)
                found = [load_resource(state, row.code) for row in rows]
                times.append((time.perf_counter() - start) * 1e3)
                assert None not in found, "what the index finds is on the ledger"
            by_search[" ".join((text, *chosen))] = round(statistics.median(times), 2)
            every += times
    finally:
        index.stop()
    every.sort()
    return {
        "search_ms_p50": round(statistics.median(every), 2),
        "search_ms_p95": round(every[int(len(every) * 0.95)], 2),
        "search_ms_max": round(every[-1], 2),
        "search_ms_by_words": by_search,
        "index_s": round(index_s, 2),
        "index_mb": round(path.stat().st_size / 1e6, 1),
    }


def _load(chain: MadeChain, keys: Sequence[PrivateKey], *calls: Iterator[tuple[int, str, str, dict[str, Any]]]) -> None:
    """Put the calls of each kind on the chain, one kind after the other, CALLS_PER_BLOCK to a block."""
    for kind in calls:
        while block := list(islice(kind, CALLS_PER_BLOCK)):
            transactions: list[VerifiedTransaction] = []
            for owner, contract, method, arguments in block:
                to, data = registry.encode_call(contract, method, **arguments)
                transactions.append(chain.transaction(keys[owner], to, data, CALL_GAS))
            chain.commit(chain.ledgers, transactions)


def _duties(count: int) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    for owner, numbers in _dealt(count, ENTRIES_PER_CALL):
        entries = [Duty(f"Z{number}", _title(number) + "管理", f"条例第{number % 60 + 1}条") for number in numbers]
        yield owner, "directories", "enter_duties", {"duties": entries}


def _systems(count: int, duties: int) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    for owner, numbers in _dealt(count, ENTRIES_PER_CALL):
        entries = [
            System(
                f"S{number}",
                _title(number) + "系统",
                "供窗口与后台办理业务",
                1,
                (f"Z{number % (duties // DEPARTMENTS)}",),
            )
            for number in numbers
        ]
        yield owner, "directories", "enter_systems", {"systems": entries}


def _resources(count: int, duties: int, systems: int) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    for owner, numbers in _dealt(count, RESOURCES_PER_CALL):
        entries = [
            ResourceDescription(
                code=f"3{owner:02d}{number % 100:03d}/{owner:02d}{number:08d}",
                name=f"{_title(number)}信息{number * DEPARTMENTS + owner}",
                summary=f"在{_title(number)}中形成的数据，供各部门核验使用，按日更新，不含图像",
                format="JSON",
                items=tuple(
                    ResourceItem(f"{_title(number)}{name}", "C") for name in ("编号", "名称", "办理日期", "状态")
                ),
                sharing_type=1 + number % 3,
                sharing_basis="限核验所办事项",
                sharing_method="接口",
                update_cycle=2,
                data_class=3,
                duties=(f"Z{number % (duties // DEPARTMENTS)}",),
                systems=(f"S{number % (systems // DEPARTMENTS)}",),
            )
            for number in numbers
        ]
        yield owner, "catalogue", "publish_many", {"resources": entries, "replaces": [0] * len(entries)}


def _dealt(count: int, at_once: int) -> Iterator[tuple[int, range]]:
    """Yield (department, numbers of its entries) so that all have as good as equally many, at most `at_once` together."""
    for owner in range(DEPARTMENTS):
        own = count // DEPARTMENTS + (owner < count % DEPARTMENTS)
        for start in range(0, own, at_once):
            yield owner, range(start, min(start + at_once, own))


def _title(number: int) -> str:
    return _THINGS[number % len(_THINGS)] + _MATTERS[number // len(_THINGS) % len(_MATTERS)]


def _department(number: int, key: PrivateKey) -> GenesisDepartment:
    account = GenesisAccount(key.public_key, (PUBLISHER,), "publisher")
    return GenesisDepartment(_code(number), f"示范局{number}", "990100", "city", "", (account,))


def _code(number: int) -> str:
    body = f"11990100MB{number:07d}"
    return body + uscc_check_character(body)


def folder_megabytes(folder: Path) -> float:
    """Return the size of all files below a folder, in MB."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)
