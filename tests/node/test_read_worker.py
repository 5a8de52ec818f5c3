"""The reading process: bounded, ended when it takes too long, started again when it is gone, and never in the node's way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from node.http import read_worker
from node.http.eth_form import LogFilter
from node.http.eth_parameters import LogQuery
from node.http.eth_reads import CountRead, LogsRead
from node.http.read_worker import MAX_WAITING_READS, ReadWorker
from node.http.rpc_fault import RpcFault

if TYPE_CHECKING:
    from tests.node.conftest import EthChain

READ = CountRead("latest")


def reading_processes() -> set[int]:
    """The reading processes among the children of this process."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        # A thread or process that ends meanwhile has nothing to show.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in map(int, (thread / "children").read_text().split()):
                if b"node.http.read_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(pid)
    return found


@pytest.fixture
def worker(eth_chain: EthChain) -> Any:
    worker = ReadWorker(eth_chain.ledger)
    yield worker
    worker.close()


def start(worker: ReadWorker) -> int:
    """Have the worker read once; return the id of its process."""
    before = reading_processes()
    assert asyncio.run(worker.read(READ)) == b'"0x0"'
    (pid,) = reading_processes() - before
    return pid


@pytest.fixture(autouse=True)
def _one_block(eth_chain: EthChain) -> None:
    if not eth_chain.ledger.height:
        eth_chain.make_block()


def test_reads_beyond_the_limit_are_told_to_come_again(worker: ReadWorker) -> None:
    pid = start(worker)

    async def crowd() -> list[Any]:
        os.kill(pid, signal.SIGSTOP)
        first = asyncio.create_task(worker.read(READ))
        # Until it is in hand, it waits too.
        await asyncio.sleep(0)
        while worker.waiting_count:
            await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(worker.read(READ)) for _ in range(MAX_WAITING_READS + 3)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        return await asyncio.gather(first, *waiting, return_exceptions=True)

    outcomes = asyncio.run(crowd())
    busy = [one for one in outcomes if isinstance(one, RpcFault)]
    assert len(busy) == 3
    assert {(fault.code, str(fault.data)) for fault in busy} == {(-32005, "{'code': 'BUSY'}")}


def test_calls_and_logs_do_not_keep_other_reads_waiting(worker: ReadWorker) -> None:
    pid = start(worker)
    order: list[str] = []

    async def read(name: str, asked: Any) -> None:
        await worker.read(asked)
        order.append(name)

    async def crowd() -> None:
        os.kill(pid, signal.SIGSTOP)
        logs = LogsRead(LogQuery("latest", "latest", LogFilter(None, ())))
        slow = [asyncio.create_task(read("logs", logs)) for _ in range(6)]
        await asyncio.sleep(0)
        quick = [asyncio.create_task(read("count", READ)) for _ in range(2)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        await asyncio.gather(*slow, *quick)

    asyncio.run(crowd())
    assert order.index("count") <= 2
    assert order[:5].count("count") == 2


def test_a_read_that_takes_too_long_is_ended_and_the_next_one_is_answered(
    worker: ReadWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = start(worker)
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(read_worker, "MAX_READ_S", 0.2)
        with pytest.raises(RpcFault, match="took more than"):
            asyncio.run(worker.read(READ))
    assert pid not in reading_processes()
    assert start(worker) != pid


def test_a_process_that_the_system_is_slow_to_end_keeps_no_later_read_waiting(
    worker: ReadWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pid = start(worker)
    os.kill(pid, signal.SIGSTOP)
    assert worker._process is not None
    process = worker._process._process
    end = process.wait

    def wait(timeout: float | None = None) -> int:
        if timeout is not None:
            raise subprocess.TimeoutExpired(process.args, timeout)
        return end()

    with monkeypatch.context() as patch:
        patch.setattr(read_worker, "MAX_READ_S", 0.2)
        patch.setattr(process, "wait", wait)
        with pytest.raises(RpcFault, match="took more than"):
            asyncio.run(asyncio.wait_for(worker.read(READ), 20))
    assert asyncio.run(asyncio.wait_for(worker.read(READ), 20)) == b'"0x0"'
    assert "reading_process_ends_late" in caplog.text


def test_a_process_that_somebody_killed_is_started_again(worker: ReadWorker) -> None:
    pid = start(worker)
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert start(worker) != pid


def test_the_end_of_the_worker_ends_what_it_is_at(eth_chain: EthChain) -> None:
    worker = ReadWorker(eth_chain.ledger)
    pid = start(worker)

    async def end() -> Any:
        os.kill(pid, signal.SIGSTOP)
        read = asyncio.create_task(worker.read(READ))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(worker.close)
        return await asyncio.gather(read, return_exceptions=True)

    (outcome,) = asyncio.run(end())
    assert isinstance(outcome, RpcFault)
    assert pid not in reading_processes()
    with pytest.raises(RpcFault):
        asyncio.run(worker.read(READ))


def test_a_process_whose_node_is_gone_ends() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "node.http.read_process", str(theirs.fileno())]
    with theirs, subprocess.Popen(command, pass_fds=(theirs.fileno(),)) as process:
        theirs.close()
        ours.close()
        assert process.wait(60) == 0


def test_a_fault_of_ours_is_logged_and_told_without_its_text(
    worker: ReadWorker, caplog: pytest.LogCaptureFixture
) -> None:
    start(worker)
    with pytest.raises(RpcFault) as fault:
        asyncio.run(worker.read(CountRead("no tag of any kind")))
    assert fault.value.code == -32603
    assert "fromhex" not in fault.value.en
    assert "read_failed" in caplog.text
