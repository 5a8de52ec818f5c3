"""An import's actions put on the ledger: in few transactions, each signed by its department, and again from where it was cut off.

Nothing of it is kept beside the ledger. A run that was cut off is run again: what the ledger has by then is left as it is, and what
both runs sent changes nothing the second time.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.registry import encode_call
from node.chain.transaction import MAX_CALL_DATA_BYTES
from sdk.client import Client, FinalReceipt, SignedCall
from sdk.data_catalogue.kinds import DUTIES, KINDS, RESOURCES, SYSTEMS
from sdk.data_catalogue.planning import Action, ImportPlan, Progress
from sdk.errors import CallRefused
from sdk.system_contracts.answer import returned
from sdk.tables.lines import RowFault
from verification.errors import GovnodeError, InputError

ENTRIES_PER_CALL: Final = 40
CALLS_AT_ONCE: Final = 32
MAX_TRIES: Final = 8
RETRY_PAUSE_S: Final = 1.0
RECEIPT_TIMEOUT_MS: Final = 30_000

_RETRIED: Final = frozenset({"POOL_FULL", "SENDER_SHARE_FULL", "BUSY", "NOT_FINAL", "EXPIRED"})
"""Why a call may go through when it is sent again; every call of an import can be sent twice."""


class Work(msgspec.Struct, frozen=True):
    """Actions of one kind and department that go in one call, and how often it was tried."""

    kind: str
    department: str
    actions: tuple[Action, ...]
    tries: int = 0


class ImportResult(msgspec.Struct):
    """What came of an import: entries that were put on the ledger, faults, and those without a key."""

    done: int = 0
    waiting: int = 0
    """Of those that are done: versions that others have to approve before they are in force."""
    transactions: int = 0
    faults: list[tuple[Path, RowFault]] = msgspec.field(default_factory=list)
    without_key: dict[str, int] = msgspec.field(default_factory=dict)
    """How many entries were left out, by the department whose key is not at hand."""


def run_import(client: Client, signers: Mapping[str, Client], plan: ImportPlan, progress: Progress) -> ImportResult:
    """Put a plan's actions on the ledger, `signers` being a client with a publisher's key for each department; return what came of it.

    What the ledger refuses becomes a fault of its row, and the rest goes on. Raises GovnodeError where the node cannot be reached.
    """
    result = ImportResult()
    gas_limit = int(client.view("governance", "parameters")["max_transaction_gas"])
    for kind in KINDS:
        works = deque(_works(kind, plan.actions[kind], signers, result))
        total = sum(len(work.actions) for work in works)
        finished = 0
        while works:
            batch = [works.popleft() for _ in range(min(CALLS_AT_ONCE, len(works)))]
            for work, outcome in _send(client, signers, batch, gas_limit):
                again = _settle(plan, work, outcome, result)
                works.extendleft(reversed(again))
                finished += len(work.actions) - sum(len(one.actions) for one in again)
            progress(f"send {kind}", finished, total)
    return result


def _works(kind: str, actions: Sequence[Action], signers: Mapping[str, Client], result: ImportResult) -> Iterator[Work]:
    by_department: dict[str, list[Action]] = defaultdict(list)
    for action in actions:
        by_department[action.entry.department].append(action)
    for department, found in by_department.items():
        if department not in signers:
            result.without_key[department] = result.without_key.get(department, 0) + len(found)
            continue
        for start in range(0, len(found), ENTRIES_PER_CALL):
            yield Work(kind, department, tuple(found[start : start + ENTRIES_PER_CALL]))


def _send(
    client: Client, signers: Mapping[str, Client], batch: Sequence[Work], gas_limit: int
) -> Iterator[tuple[Work, FinalReceipt | GovnodeError]]:
    """Yield each work with the receipt of its call, or the GovnodeError for which there is none."""
    signed: list[tuple[Work, SignedCall]] = []
    for work in batch:
        contract, method, arguments = _call(work)
        try:
            _, data = encode_call(contract, method, **arguments)
            if len(data) > MAX_CALL_DATA_BYTES:
                raise InputError(
                    "CALL_TOO_LARGE",
                    f"一项至多 {MAX_CALL_DATA_BYTES} 字节",
                    f"expected at most {MAX_CALL_DATA_BYTES} bytes for one entry",
                )
            signed.append(
                (work, signers[work.department].sign_call(contract, method, gas_limit=gas_limit, **arguments))
            )
        except InputError as error:
            yield work, error
    outcomes = client.outcomes([call for _, call in signed], timeout_ms=RECEIPT_TIMEOUT_MS)
    for (work, _), outcome in zip(signed, outcomes, strict=True):
        yield work, outcome


def _call(work: Work) -> tuple[str, str, dict[str, Any]]:
    contents = [action.entry.content for action in work.actions]
    if work.kind == DUTIES.name:
        return "directories", "enter_duties", {"duties": contents}
    if work.kind == SYSTEMS.name:
        return "directories", "enter_systems", {"systems": contents}
    assert work.kind == RESOURCES.name, work.kind
    return (
        "catalogue",
        "publish_many",
        {"resources": contents, "replaces": [action.replaces for action in work.actions]},
    )


def _settle(plan: ImportPlan, work: Work, outcome: FinalReceipt | GovnodeError, result: ImportResult) -> list[Work]:
    """Take note of what became of a call; return what is to be sent again: the same, or its halves where one row spoils it."""
    if isinstance(outcome, FinalReceipt):
        result.done += len(work.actions)
        if work.kind == RESOURCES.name:
            result.waiting += returned("catalogue", "publish_many", outcome).count(False)
        result.transactions += 1
        return []
    if outcome.code in _RETRIED and work.tries < MAX_TRIES:
        time.sleep(RETRY_PAUSE_S)
        return [msgspec.structs.replace(work, tries=work.tries + 1)]
    if not isinstance(outcome, CallRefused | InputError):
        raise outcome
    if len(work.actions) == 1:
        action = work.actions[0]
        result.faults.append(plan.fault_of(action.path, action.entry, outcome.code, (outcome.zh, outcome.en)))
        return []
    half = len(work.actions) // 2
    return [Work(work.kind, work.department, part) for part in (work.actions[:half], work.actions[half:])]
