"""Records of grants as the ledger has them, for tests of what the gateway makes of them."""

from typing import Any

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.sharing import GRANTED, RequestInterval, RequestRecord

PROVIDER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
RESOURCE = "307013301/000001"
NOW_MS = 1_795_300_000_000


def interval(state: str, from_ms: int) -> RequestInterval:
    return RequestInterval(state, from_ms, "", bytes(20), PROVIDER, "")


def grant_record(**changes: Any) -> RequestRecord:
    """A grant in force at NOW_MS, without conditions."""
    said: dict[str, Any] = {
        "id": bytes(32),
        "resource": RESOURCE,
        "provider": PROVIDER,
        "consumer": CONSUMER,
        "purpose": "办理抵押登记",
        "legal_basis": "示例",
        "items": (),
        "case_types": (),
        "rows_per_day": 0,
        "from_ms": 1,
        "to_ms": NOW_MS + 10**9,
        "conditions": Conditions(),
        "previous": bytes(32),
        "renewal": bytes(32),
        "supplied_ms": 0,
        "corrections": 0,
        "disputes": 0,
        "recalls": 0,
        "history": (interval("waiting", 1), interval(GRANTED, 1)),
    }
    return RequestRecord(**said | changes)
