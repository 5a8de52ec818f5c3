"""A first answer under a grant begins its supply on the ledger: said once, for as long as it takes, and no thread dies of a refusal."""

from __future__ import annotations

import threading

from sdk.errors import NodeUnreachable, RequestRefused
from sdk.gateway.supply_beginning import SupplyBeginning
from tests.sdk.gateway.grant_records import grant_record

FIRST, ENDED, SUPPLIED, LAST = (bytes([number]) * 32 for number in range(4))


def test_supply_begins_once_for_each_grant_whatever_the_node_says() -> None:
    told: list[bytes] = []
    is_last = threading.Event()

    def tell(grant: bytes) -> None:
        told.append(grant)
        if told == [FIRST]:
            raise NodeUnreachable("NODE_UNREACHABLE", "无应答", "no answer")
        if grant == ENDED:
            raise RequestRefused("REQUEST_STATE_WRONG", "已停止", "stopped")
        if grant == LAST:
            is_last.set()

    supply = SupplyBeginning(tell, retry_s=0.01)
    supply.start()
    try:
        supply.note(FIRST, None)
        for grant, supplied_ms in ((FIRST, 0), (FIRST, 0), (ENDED, 0), (SUPPLIED, 5), (LAST, 0)):
            supply.note(grant, grant_record(id=grant, supplied_ms=supplied_ms))
        assert is_last.wait(10)
    finally:
        supply.stop()
    assert told == [FIRST, FIRST, ENDED, LAST]
