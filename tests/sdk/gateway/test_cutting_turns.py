"""Large answers are cut by one thread: departments have it in turn, and what is cut already is not cut again."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from contracts.data_sharing.conditions import Conditions
from sdk.gateway.body import cut_answer
from sdk.gateway.consumer import Case
from sdk.gateway.cutting_turns import CuttingTurns
from sdk.gateway.denials import Denied
from tests.sdk.gateway.conftest import OWNERS, GatewayOffice

CASE = Case("2026-抵-1", "抵押")


def test_departments_have_the_thread_in_turn() -> None:
    done: list[str] = []

    async def work_through() -> None:
        turns, goes_on = CuttingTurns(), threading.Event()

        def first() -> None:
            assert goes_on.wait(60)
            done.append("a 0")

        asked = [asyncio.create_task(turns.run("a", first))]
        for name in ("a 1", "a 2", "a 3", "b 1", "b 2", "c 1"):
            asked.append(asyncio.create_task(turns.run(name[0], functools.partial(done.append, name))))
        # All of them wait before the first one ends.
        await asyncio.sleep(0)
        goes_on.set()
        await asyncio.wait_for(asyncio.gather(*asked), 60)

    asyncio.run(work_through())
    assert done == ["a 0", "a 1", "b 1", "c 1", "a 2", "b 2", "a 3"]


def test_whoever_does_not_wait_any_more_and_work_that_fails_keep_nobody_waiting() -> None:
    done: list[str] = []

    def fail() -> None:
        raise Denied("ANSWER_NOT_JSON")

    async def work_through() -> None:
        turns, goes_on = CuttingTurns(), threading.Event()
        first = asyncio.create_task(turns.run("a", lambda: goes_on.wait(60)))
        gone, failing, last = (
            asyncio.create_task(turns.run(name, work))
            for name, work in (("b", lambda: done.append("gone")), ("c", fail), ("d", lambda: done.append("last")))
        )
        await asyncio.sleep(0)
        gone.cancel()
        goes_on.set()
        found = await asyncio.wait_for(asyncio.gather(first, gone, failing, last, return_exceptions=True), 60)
        assert [type(one) for one in found] == [bool, asyncio.CancelledError, Denied, type(None)]
        # Free again for the next.
        await asyncio.wait_for(turns.run("a", lambda: done.append("next")), 60)

    asyncio.run(work_through())
    assert done == ["last", "next"]


def test_an_answer_is_cut_again_only_where_the_grant_gives_something_else(
    office: GatewayOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = orjson.dumps(OWNERS * 20)
    begun, goes_on, cuts = threading.Semaphore(0), threading.Semaphore(0), []

    def cut_slowly(body: bytes, shape: Any, cut: Any) -> Any:
        cuts.append(cut.columns)
        begun.release()
        assert goes_on.acquire(timeout=60), "the block was seen"
        return cut_answer(body, shape, cut)

    monkeypatch.setattr("sdk.gateway.gateway.CUT_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("sdk.gateway.gateway.cut_answer", cut_slowly)
    office.service.body = large
    names, fewer = Conditions(("姓名", "电话")), Conditions(("姓名",))
    office.put_grant(conditions=names)

    def change(**changes: Any) -> None:
        assert begun.acquire(timeout=60)
        office.put_grant(**changes)
        height = office.node.chain.height
        while office.parts.book.sight.height < height:
            assert not done.done(), "cut without the block"
            time.sleep(0.005)
        goes_on.release()

    with office.consumer() as consumer, ThreadPoolExecutor(1) as pool:
        done = pool.submit(consumer.read, "/owners/1", CASE)
        change(conditions=names, corrections=1)
        assert done.result(60).status == 200
        assert len(cuts) == 1
        done = pool.submit(consumer.read, "/owners/1", CASE)
        change(conditions=fewer)
        goes_on.release()
        assert set(orjson.loads(done.result(60).body)[0]) == {"姓名"}
    assert [sorted(columns) for columns in cuts] == [["姓名", "电话"], ["姓名", "电话"], ["姓名"]]
