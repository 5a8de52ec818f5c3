"""What touches a period's scores, and whose is left out: chosen from rows of an index that were written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.contribution_counts import Period
from explorer.data_sharing import score_matters
from explorer.data_sharing.catalogue_tables import REVIEWS
from explorer.data_sharing.product_index import FACTS, PRODUCTS
from explorer.data_sharing.score_matters import ASKED, RECEIVED, LeftOut, Matters
from explorer.index_tables import METADATA, REQUESTS

PERIOD = Period(1_000, 2_000, 9_000)
OWED_FROM_MS = 400
"""What began before it has run out before the period."""
NAMES = ("shop", "bank")


def request(name: str, consumer: str, first_ms: int, last_ms: int, owed_ms: int = 0) -> dict[str, Any]:
    row = {
        "id": name.encode(),
        "resource": "r",
        "consumer": consumer,
        "provider": "land",
        "state": "",
        "was_granted": 0,
    }
    return row | {"first_ms": first_ms, "last_ms": last_ms, "owed_ms": owed_ms}


@pytest.fixture
def engine() -> Iterator[sql.Engine]:
    """An index of seven requests, and of deliveries, reviews and transactions before, at the edges of and after the period."""
    engine = sql.create_engine("sqlite://", poolclass=sql.StaticPool)
    METADATA.create_all(engine)
    times = (999, 1_000, 1_999, 2_000)
    with engine.begin() as connection:
        requests = [
            request("over before it", "shop", 100, 999),
            request("ran out before it", "shop", 100, 100, OWED_FROM_MS - 1),
            request("may run out in it", "shop", 100, 100, OWED_FROM_MS),
            request("answered in it", "shop", 100, 1_000),
            request("asked at its end", "shop", 1_999, 1_999),
            request("asked after it", "shop", 2_000, 2_500, 2_500),
            request("lasts longer", "bank", 100, 2_500),
        ]
        connection.execute(REQUESTS.insert(), requests)
        for name in NAMES:
            product = {"code": f"land/{name}", "department": "land", "name": "x", "state": ""}
            connection.execute(PRODUCTS.insert(), product)
        for number, at_ms in enumerate(times):
            name = NAMES[number % 2]
            correction = {"request": b"answered in it", "number": number, "asked_ms": 100, "answered_ms": at_ms}
            connection.execute(ASKED.insert(), correction)
            received = {"request": b"answered in it", "number": number, "consumer": name, "answered_ms": at_ms}
            connection.execute(RECEIVED.insert(), received)
            review = {"resource": "r", "version": number, "department": name, "provider": "land", "reviewed_ms": at_ms}
            connection.execute(REVIEWS.insert(), review)
            fact = {"product": f"land/{name}", "number": number, "kind": "transaction", "answered_ms": at_ms}
            # Either side proposes; the department of the product is the one that sells.
            parties = (
                {"proposer": name, "counterparty": "land"} if number % 2 else {"proposer": "land", "counterparty": name}
            )
            for state, kind in (("confirmed", "transaction"), ("replaced", "transaction"), ("confirmed", "valuation")):
                row = fact | parties | {"state": state, "kind": kind}
                row["number"] = number + 10 * (state == "replaced") + 20 * (kind == "valuation")
                connection.execute(FACTS.insert(), row)
        for number, asked_ms in enumerate((OWED_FROM_MS - 1, OWED_FROM_MS, 1_999, 2_000), 10):
            correction = {"request": b"lasts longer", "number": number, "asked_ms": asked_ms, "answered_ms": 0}
            connection.execute(ASKED.insert(), correction)
    yield engine
    engine.dispose()


def chosen(matters: Matters) -> tuple[set[str], set[int], set[int], set[int], set[int]]:
    """Return what was chosen: ids of requests, and the numbers of corrections, deliveries, reviews and transactions."""
    return (
        {name.decode() for name in matters.requests()},
        {number for _, number in matters.corrections()},
        {number for _, number in matters.deliveries()},
        {version for _, (_, version, _) in matters.reviews()},
        {number for _, (_, number) in matters.trades()},
    )


def test_what_happened_or_may_run_out_in_a_period_touches_it_and_nothing_else(engine: sql.Engine) -> None:
    matters = Matters(engine, PERIOD, OWED_FROM_MS)
    assert matters.left_out == []
    requests = {"may run out in it", "answered in it", "asked at its end", "lasts longer"}
    # Corrections answered in it or later, and those that wait and may run out in it.
    assert chosen(matters) == (requests, {1, 2, 3, 11, 12}, {1, 2}, {1, 2}, {1, 2})


@pytest.mark.parametrize(
    ("limit", "shares", "kept"),
    [
        # The shop has three requests, in the order of their times and names, the bank one.
        (4, {}, {"answered in it", "may run out in it", "asked at its end", "lasts longer"}),
        (3, {"shop": 2}, {"answered in it", "may run out in it", "lasts longer"}),
        (2, {"shop": 1}, {"answered in it", "lasts longer"}),
        (1, {"shop": 0, "bank": 0}, set()),
    ],
)
def test_of_what_is_too_much_each_departments_first_matters_count(
    engine: sql.Engine, monkeypatch: pytest.MonkeyPatch, limit: int, shares: dict[str, int], kept: set[str]
) -> None:
    monkeypatch.setattr(score_matters, "MAX_SCORED", limit)
    matters = Matters(engine, PERIOD, OWED_FROM_MS)
    totals = {"shop": 3, "bank": 1}
    requests = [one for one in matters.left_out if one.kind == "requests"]
    assert requests == [LeftOut("requests", name, totals[name], share) for name, share in shares.items()]
    found = chosen(matters)
    assert found[0] == kept
    # Of the last kinds there are two each, one of either department: too much of one kind takes nothing from another.
    assert found[2:] == (({1, 2},) * 3 if limit >= 2 else (set(),) * 3)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(0, 300))
@settings(max_examples=50)
def test_a_share_is_the_greatest_that_fits(totals: list[int], limit: int) -> None:
    """By trying every share: so a department that does no more than an equal part is always counted whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_matters, "MAX_SCORED", limit)
        share = score_matters._share(totals)
    fitting = [one for one in range(301) if sum(min(total, one) for total in totals) <= limit]
    assert sum(min(total, share) for total in totals) <= limit
    assert share >= limit // len(totals)
    if sum(totals) > limit:
        assert share == max(fitting)
