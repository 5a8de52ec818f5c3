"""Any order of calls about requests: what a table of allowed steps says is what the contract does, and every time has one answer."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.data_sharing import disputes, sharing
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.sharing import is_in_force

HOUR_MS = 3_600_000
RESOURCE, OPEN_RESOURCE = "307013301/000001", "307013301/000002"

# From which states a step may be taken, and where it leads; None for a step that keeps the state.
STEPS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "return_request": (("waiting",), "returned"),
    "amend": (("returned",), "waiting"),
    "grant": (("waiting",), "granted"),
    "refuse": (("waiting",), "refused"),
    "fail_check": (("waiting",), "refused"),
    "stop_by_provider": (("granted",), "stopped"),
    "stop_by_consumer": (("waiting", "returned", "granted"), "stopped"),
    "reopen": (("refused",), "waiting"),
    "restore": (("stopped", "recalled"), "granted"),
    "recall": (("granted", "stopped"), "recalled"),
    "start_supply": (("granted",), None),
}


class RequestLife:
    """Requests of one consumer, and beside them what they should be: the states with their times."""

    def __init__(self, office: Any) -> None:
        self.office = office
        office.publish()
        office.publish(code=OPEN_RESOURCE, sharing_type=1, sharing_basis="")
        self.expected: dict[bytes, list[tuple[str, int]]] = {}
        self.ended_by_provider: dict[bytes, bool] = {}
        self.listed: dict[str, list[bytes]] = {RESOURCE: [], OPEN_RESOURCE: []}

    def request(self, resource: str, hours: int) -> None:
        now_ms = self.office.time_ms
        period = {"from_ms": now_ms - HOUR_MS, "to_ms": now_ms + hours * HOUR_MS}
        name = self.office.request(resource=resource, items=[], rows_per_day=10, **period)
        granted = [("granted", self.office.time_ms)] if resource == OPEN_RESOURCE else []
        self.expected[name] = [("waiting", self.office.time_ms), *granted]
        self.listed[resource].append(name)

    def take(self, name: bytes, step: str) -> None:
        """Take a step, which must be refused unless the table allows it."""
        states = self.expected[name]
        allowed, following = STEPS[step]
        may = states[-1][0] in allowed
        if step == "return_request":
            may = may and all(state != "returned" for state, _ in states)
        record = self.record(name)
        if step in ("amend", "grant"):
            may = may and record.to_ms > self.office.time_ms + 1_000
        if step == "start_supply":
            may = may and sharing.is_in_force(record, self.office.time_ms + 1_000)
        if step in ("reopen", "restore"):
            may = may and len(states) <= sharing.LAST_REOPENING
        if step == "recall":
            may = may and any(state == "granted" for state, _ in states)
        if step == "restore":
            may = may and self.ended_by_provider[name] and record.to_ms > self.office.time_ms + 2_000
        assert self.attempt(step, name, record) == may, (step, states)
        if may and states[-1][0] != "stopped":
            self.ended_by_provider[name] = step in ("stop_by_provider", "recall")
        if may and following is not None:
            states.append((following, self.office.time_ms))

    def attempt(self, step: str, name: bytes, record: sharing.RequestRecord) -> bool:
        """Return whether the step was taken; a second passes."""
        office = self.office
        office.time_ms += 1_000
        about: dict[str, Any] = {"request": name}
        said = {"purpose": "核验", "legal_basis": "法", "items": [], "case_types": [], "rows_per_day": 10}
        steps: dict[str, tuple[Any, str, dict[str, Any]]] = {
            "return_request": (office.approver, "return_request", {"reason": "补正"}),
            "amend": (office.requester, "amend", said | {"from_ms": record.from_ms, "to_ms": record.to_ms}),
            "grant": (office.approver, "grant", {"conditions": Conditions(), "to_ms": record.to_ms}),
            "refuse": (office.approver, "refuse", {"reason_code": "no-basis", "reason": ""}),
            "fail_check": (office.governor, "check", {"passed": False, "note": "不符"}),
            "stop_by_provider": (office.approver, "stop", {"reason": "停"}),
            "stop_by_consumer": (office.requester, "stop", {"reason": "停"}),
            "reopen": (office.requester, "raise_dispute", {"kind": "refusal", "claim": "x", "evidence": bytes(32)}),
            "restore": (office.requester, "raise_dispute", {"kind": "stop", "claim": "x", "evidence": bytes(32)}),
            "recall": (
                office.approver,
                "recall",
                {"from_ms": record.requested_ms - 1, "to_ms": 0, "ends_grant": True, "reason": "错"},
            ),
            "start_supply": (office.provider_recorder, "start_supply", {}),
        }
        account, method, more = steps[step]
        if office.call(account, "sharing", method, **about, **more).refusal is not None:
            return False
        if step not in ("reopen", "restore"):
            return True
        about["number"] = record.disputes + 1
        office.accept(office.governor, "sharing", "take_dispute", **about)
        office.time_ms += 1_000
        order = disputes.REOPEN if step == "reopen" else disputes.RESTORE
        decision = {"outcome": disputes.UPHELD, "order": order, "decision": "支持"}
        return office.call(office.governor, "sharing", "decide_dispute", **about, **decision).refusal is None

    def record(self, name: bytes) -> sharing.RequestRecord:
        found = sharing.load_request(self.office.state, name)
        assert found is not None
        return found

    def every_request_is_as_expected(self) -> None:
        for name, states in self.expected.items():
            record = self.record(name)
            assert [(one.state, one.from_ms) for one in record.history] == states
            assert len(states) <= sharing.MAX_REQUEST_INTERVALS
            assert record.conditions.max_rows_per_day in (0, record.rows_per_day)
            newest = max(number for number, (state, _) in enumerate(states) if state == "waiting")
            assert record.waiting_since_ms == states[newest][1]
            answers = [since for state, since in states[newest + 1 :] if state in ("returned", "granted", "refused")]
            assert record.replied_ms == (answers[0] if answers else 0)
            for _, since_ms in states:
                for time_ms in (since_ms - 1, since_ms, record.to_ms, record.to_ms + 1):
                    past = [state for state, begun_ms in states if begun_ms <= time_ms]
                    holds = past[-1:] == ["granted"] and record.from_ms <= time_ms <= record.to_ms
                    assert is_in_force(record, time_ms) == holds

    def lists_have_no_gap(self) -> None:
        for resource, names in self.listed.items():
            state = self.office.state
            assert sharing.count_requests(state, resource) == len(names)
            keys = [sharing.resource_request_key(resource, index) for index in range(len(names) + 1)]
            found = [sharing.RESOURCE_REQUESTS.decode(state[key]).request for key in keys[:-1]]
            assert (found, keys[-1] in state) == (names, False)


@given(
    hours=st.lists(st.integers(1, 480), min_size=2, max_size=2),
    moves=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 39), st.sampled_from((0, 0, 0, 1, 20))), min_size=20, max_size=50
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_requests_keep_to_the_table_of_steps(
    make_bench: Any, hours: list[int], moves: list[tuple[int, int, int]]
) -> None:
    life = RequestLife(make_bench())
    for resource, length in zip((RESOURCE, OPEN_RESOURCE), hours, strict=True):
        life.request(resource, length)
    names = list(life.expected)
    for which, choice, waited in moves:
        life.office.time_ms += waited * HOUR_MS
        state = life.expected[names[which]][-1][0]
        if state == "recalled" and waited:
            # Nothing follows: what comes next is asked of another request.
            life.request((RESOURCE, OPEN_RESOURCE)[which], hours[which])
            names[which] = list(life.expected)[-1]
            continue
        # Three in four of the moves are allowed by the newest state: chance alone seldom gets past the third.
        steps = [step for step, (allowed, _) in STEPS.items() if state in allowed] if choice % 4 else []
        steps = steps or sorted(STEPS)
        life.take(names[which], steps[choice // 4 % len(steps)])
        life.every_request_is_as_expected()
    life.lists_have_no_gap()
