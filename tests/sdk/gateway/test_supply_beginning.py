"""A first answer under a grant begins its supply on the ledger: said once, for as long as it takes, and no thread dies of a refusal."""

from __future__ import annotations

import threading
import time

from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sdk.gateway.supply_beginning import SupplyBeginning
from tests.sdk.gateway.grant_records import grant_record

FIRST, ENDED, SUPPLIED, LAST = (bytes([number]) * 32 for number in range(4))
PASSING = [
    NodeUnreachable("NODE_UNREACHABLE", "无应答", "no answer"),
    RequestRefused("POOL_FULL", "已满", "full"),
    KeyError("receipt"),
]


def test_supply_begins_once_for_each_grant_whatever_the_node_says() -> None:
    told: list[bytes] = []
    failures = list(PASSING)
    is_last = threading.Event()

    def tell(grant: bytes) -> None:
        told.append(grant)
        if grant == ENDED:
            raise CallRefused("REQUEST_STATE_WRONG", "已停止", "stopped", bytes(32), 1)
        if grant == FIRST and failures:
            raise failures.pop(0)
        if grant == LAST:
            is_last.set()

    supply = SupplyBeginning(tell, retry_s=0.01)
    supply.start()
    try:
        supply.note(FIRST, None)
        for grant, supplied_ms in ((FIRST, 0), (FIRST, 0), (ENDED, 0), (SUPPLIED, 5)):
            supply.note(grant, grant_record(id=grant, supplied_ms=supplied_ms))
        deadline_s = time.monotonic() + 60
        while supply.unsaid and time.monotonic() < deadline_s:
            time.sleep(0.005)
        supply.note(LAST, grant_record(id=LAST, supplied_ms=0))
        assert is_last.wait(60)
    finally:
        supply.stop()
    assert (sorted(told), supply.unsaid) == ([*[FIRST] * (len(PASSING) + 1), ENDED, LAST], 0)
