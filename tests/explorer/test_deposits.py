"""Deposits at a node: who may leave, fetch and withdraw them, that they end, and that there are only so many."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from explorer import deposits
from explorer.deposits import Deposits
from explorer.problems import Problem
from verification.deposits import MAX_DEPOSIT_BYTES, MAX_LIFE_MS, encode_id

PATH = "/api/v1/deposits"
SEALED = b"sealed bytes of an unknown content"
DAY_MS = 86_400_000
NOBODYS = encode_id(bytes(10))


class Clock:
    """The node's clock, in ms."""

    now_ms = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Deposits, Clock]]:
    clock = Clock()
    kept = Deposits(tmp_path / "deposits.sqlite", lambda: clock.now_ms)
    yield kept, clock
    kept.stop()


def code_of(ask: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Problem) as raised:
        ask(*arguments)
    return raised.value.code


def leave(site: Any, sealed: bytes, expires_ms: int, account: str = "land") -> httpx.Response:
    body = json.dumps({"sealed": base64.b64encode(sealed).decode(), "expires_ms": expires_ms}).encode()
    headers = site.signed_headers(account, PATH, "POST", body)
    answer: httpx.Response = site.http.post(PATH, content=body, headers=headers)
    return answer


def withdraw(site: Any, deposit_id: str, account: str) -> httpx.Response:
    target = f"{PATH}/{deposit_id}/withdrawal"
    answer: httpx.Response = site.http.post(target, headers=site.signed_headers(account, target, "POST"))
    return answer


def now_ms(site: Any) -> int:
    return int(site.world.view.start_ms)


def test_a_department_leaves_what_everybody_with_the_link_fetches(site: Any) -> None:
    answer = leave(site, SEALED, now_ms(site) + DAY_MS)
    assert answer.status_code == 200, answer.text
    kept = answer.json()
    assert (kept["department"], kept["size_bytes"]) == (site.world.land, len(SEALED))
    found = site.get(f"{PATH}/{kept['id']}")
    assert base64.b64decode(found.json()["sealed"]) == SEALED
    assert found.json()["expires_ms"] == kept["expires_ms"]
    assert found.headers["cache-control"] == "no-store"
    # Nobody sees which there are but the department that made them, and nobody else withdraws one.
    assert site.get(PATH).json()["code"] == "SIGNATURE_REQUIRED"
    assert kept in site.get_signed("land", PATH).json()["items"]
    assert site.get_signed("housing", PATH).json()["items"] == []
    assert withdraw(site, kept["id"], "housing").json()["code"] == "DEPOSIT_OF_ANOTHER"
    assert withdraw(site, kept["id"], "land").json() == {"id": kept["id"]}
    for gone in (site.get(f"{PATH}/{kept['id']}"), withdraw(site, kept["id"], "land")):
        assert (gone.status_code, gone.json()["code"]) == (410, "DEPOSIT_WITHDRAWN")


def test_what_is_not_taken(site: Any) -> None:
    soon = now_ms(site) + DAY_MS
    assert leave(site, b"", soon).json()["field"] == "sealed"
    assert leave(site, b"x" * (MAX_DEPOSIT_BYTES + 1), soon).json()["field"] == "sealed"
    assert leave(site, b"x" * (MAX_DEPOSIT_BYTES * 2), soon).json()["code"] == "BODY_TOO_LARGE"
    for end_ms in (0, now_ms(site) - 1, now_ms(site) + MAX_LIFE_MS + DAY_MS, 2**70):
        assert leave(site, SEALED, end_ms).json()["code"] == "BODY_INVALID"
    assert site.http.post(PATH, content=b"{}").json()["code"] == "SIGNATURE_REQUIRED"
    for body in (b"", b"[]", b'{"sealed": "###", "expires_ms": 1}', b'{"sealed": "", "expires_ms": "1"}'):
        headers = site.signed_headers("land", PATH, "POST", body)
        assert site.http.post(PATH, content=body, headers=headers).json()["code"] == "BODY_INVALID"
    assert site.get(f"{PATH}/{NOBODYS}").json()["code"] == "DEPOSIT_UNKNOWN"
    assert withdraw(site, NOBODYS, "land").json()["code"] == "DEPOSIT_UNKNOWN"
    assert site.get(f"{PATH}/x").json()["code"] == "PARAMETER_INVALID"


def test_what_has_expired_is_gone_from_the_disk(store: tuple[Deposits, Clock], tmp_path: Path) -> None:
    kept, clock = store
    first = kept._keep("A", SEALED * 100, clock.now_ms + DAY_MS)
    second = kept._keep("A", b"another", clock.now_ms + 2 * DAY_MS)
    clock.now_ms += DAY_MS
    # From its end on nobody gets it, whether or not it was deleted yet.
    assert code_of(kept._find, first.id) == "DEPOSIT_EXPIRED"
    kept.sweep()
    assert code_of(kept._find, first.id) == "DEPOSIT_EXPIRED"
    assert kept._of_department("A", None, 10) == [second]
    kept.stop()
    assert SEALED not in (tmp_path / "deposits.sqlite").read_bytes()
    # What is kept outlives the process.
    again = Deposits(tmp_path / "deposits.sqlite", lambda: clock.now_ms)
    assert again._find(second.id).sealed == b"another"
    again.stop()


def test_there_are_only_so_many(store: tuple[Deposits, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    kept, clock = store
    end_ms = clock.now_ms + DAY_MS
    monkeypatch.setattr(deposits, "MAX_DEPARTMENT_DEPOSITS", 2)
    monkeypatch.setattr(deposits, "MAX_DEPOSITS", 3)
    first = kept._keep("A", b"1", end_ms)
    kept._keep("A", b"2", end_ms)
    assert code_of(kept._keep, "A", b"3", end_ms) == "DEPOSITS_FULL"
    kept._keep("B", b"3", end_ms)
    assert code_of(kept._keep, "B", b"4", end_ms) == "DEPOSITS_FULL"
    kept._withdraw(first.id, "A")
    kept._keep("A", b"5", end_ms)
    monkeypatch.setattr(deposits, "MAX_DEPOSITS", 9)
    monkeypatch.setattr(deposits, "MAX_DEPARTMENT_BYTES", 3)
    kept._keep("C", b"12", end_ms)
    assert code_of(kept._keep, "C", b"34", end_ms) == "DEPOSITS_FULL"
    monkeypatch.setattr(deposits, "MAX_DEPOSITS_BYTES", 6)
    assert code_of(kept._keep, "D", b"12", end_ms) == "DEPOSITS_FULL"
    # They leave room as they end, and of those that ended only the last are remembered.
    monkeypatch.setattr(deposits, "MAX_ENDED", 2)
    clock.now_ms = end_ms
    kept._keep("D", b"123", end_ms + DAY_MS)
    assert code_of(kept._find, first.id) == "DEPOSIT_UNKNOWN"


def test_a_list_goes_on_where_a_page_ends(store: tuple[Deposits, Clock]) -> None:
    kept, clock = store
    made = [kept._keep("A", b"x", clock.now_ms + DAY_MS) for _ in range(5)]
    first = kept._of_department("A", None, 3)
    assert first + kept._of_department("A", first[-1].number, 3) == made[::-1]


def test_a_damaged_database_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "deposits.sqlite"
    path.write_bytes(b"no database at all, " * 500)
    kept = Deposits(path)
    assert code_of(kept._find, NOBODYS) == "DEPOSIT_UNKNOWN"
    kept.stop()
    assert path.with_suffix(".damaged").exists()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM deposits").fetchone() == (0,)
    database.close()


def test_a_node_without_lists_and_pages_keeps_none_and_a_failing_disk_is_told_of(tmp_path: Path) -> None:
    assert code_of(Deposits(None)._find, NOBODYS) == "NOT_SERVED"
    assert code_of(Deposits(tmp_path / "missing" / "deposits.sqlite")._find, NOBODYS) == "NOT_READY"
