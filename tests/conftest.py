"""What tests of several folders share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder, make_snapshot

SHARED_NETWORK = "tests/e2e/"
"""What shares a network that runs."""
OWN_NETWORK = ("tests/e2e/test_bad_lines.py", "tests/e2e/test_demo_", "tests/e2e/test_recovery_bench.py")
"""What starts networks of its own."""
LONG = (
    "tests/e2e/test_recovery_bench.py",
    "tests/node/process/test_process.py",
    "tests/contracts/system_calls/test_interfaces.py",
    "tests/node/driver/test_recovery.py",
    "tests/simulator/test_seeds.py",
    "tests/simulator/test_set_changes.py",
    "tests/sdk/test_benches.py",
    "tests/consensus/test_agreement.py",
)
"""Files that take longer than the rest: begun early, so that no worker is left with one when the others have ended."""
COLLECTOR_THRESHOLDS = (20_000, 20, 20)
RECURSION_LIMIT = sys.getrecursionlimit()

# Times never decide a test: a machine may be busy.
settings.register_profile("any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def unit_of(test: str) -> str:
    """Return what a test shares a worker with: its file's fixtures are made once, and one network serves all that may share it."""
    path = test.partition("::")[0]
    return SHARED_NETWORK if path.startswith(SHARED_NETWORK) and not path.startswith(OWN_NETWORK) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, in the order of collection."""
    # Imported only where tests run side by side. The plug-in's own marker for groups is lost on pytest 9.2.
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit_of
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with what takes long."""
    if hasattr(config, "workerinput"):
        first = {unit: place for place, unit in enumerate((SHARED_NETWORK, *LONG))}
        items.sort(key=lambda item: first.get(unit_of(item.nodeid), len(first)))


def pytest_configure() -> None:
    """Let Python keep what it compiles, whatever the shell says: else every node and command of a test compiles the program."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """Leave the process as the program's own are, whichever tests it was given."""
    # Both raise the limit when they are first imported, web3's library so far that JSON nested deeply would end the process, not
    # be refused; and Hypothesis does not take a limit that changes under a test. So they are imported now, and the limit is put back.
    import py_ecc  # noqa: F401

    import contracts.evm  # noqa: F401

    sys.setrecursionlimit(RECURSION_LIMIT)
    # Modules and tests, a million objects, stay to the end: not looked through again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


@pytest.fixture(scope="session")
def join_by_snapshot() -> Callable[[Ledger, Path], None]:
    """Return a function that makes a folder the ledger of a node that joins by a snapshot of another's present state."""

    def join(original: Ledger, path: Path) -> None:
        chunks = path.with_name(path.name + ".chunks")
        offer = make_snapshot(original.snapshot_source(), chunks)
        builder = SnapshotBuilder(path, original.genesis, offer)
        for index in builder.missing_chunks:
            builder.add_chunk(index, (chunks / str(index)).read_bytes())
        while builder.next_height:
            builder.add_blocks([original.sealed_block_bytes(builder.next_height)])
        builder.finish()

    return join
