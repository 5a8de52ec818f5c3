"""What REST says of consensus: offences of validators, newest first, filtered and paged, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from consensus.messages import VoteKind
from sm_crypto.sm3 import sm3

# Who, at which height, round and kind: in the order in which blocks carry them.
OFFENCES = [
    (2, 1, 0, VoteKind.PREVOTE),
    (0, 1, 0, VoteKind.PREVOTE),
    (2, 2, 7, VoteKind.PRECOMMIT),
    (2, 3, 0, VoteKind.PREVOTE),
    (1, 4, 0, VoteKind.PREVOTE),
]


@pytest.fixture(scope="module")
def accused(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A served world of which three validators were caught, five times in all, in blocks 2 to 6."""
    world = make_world()
    world.make_block([])
    for offence in OFFENCES:
        world.equivocate(*offence)
    return serve(world)


def address(site: Any, index: int) -> str:
    raw: bytes = site.world.members[index].address
    return "0x" + raw.hex()


def test_an_offence_names_the_validator_the_place_and_both_values(accused: Any) -> None:
    newest = accused.get("/api/v1/evidence").json()["items"][0]
    validator = accused.get("/api/v1/validators").json()["items"][1]
    assert {name: newest[name] for name in ("address", "name", "department", "department_name")} == {
        name: validator[name] for name in ("address", "name", "department", "department_name")
    }
    assert (newest["height"], newest["round"], newest["kind"]) == (4, 0, "prevote")
    assert newest["kind_text"] == {"zh": "预投票", "en": "prevote"}
    assert (newest["first_value"], newest["second_value"]) == (None, "0x" + sm3(b"4 0").hex())
    assert newest["included_height"] == 6
    assert newest["included_ms"] == accused.world.ledger.header(6).time_ms
    block = accused.get(newest["included_block"]).json()
    assert (block["height"], block["evidence_count"]) == (6, 1)


def test_offences_come_newest_first_a_page_at_a_time(accused: Any) -> None:
    found, cursor = [], None
    while True:
        page = accused.get("/api/v1/evidence", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(item["address"], item["height"], item["round"]) for item in found] == [
        (address(accused, index), height, round_) for index, height, round_, _ in reversed(OFFENCES)
    ]
    assert [item["number"] for item in found if item["address"] == address(accused, 2)] == [3, 2, 1]


def test_offences_are_found_by_validator_and_by_block(accused: Any) -> None:
    def heights(**params: Any) -> list[int]:
        return [item["included_height"] for item in accused.get("/api/v1/evidence", params=params).json()["items"]]

    assert heights(validator=address(accused, 2)) == [5, 4, 2]
    assert heights(validator=address(accused, 2)[2:], included_height=4) == [4]
    assert heights(validator=address(accused, 3)) == []
    assert heights(validator="00" * 20) == []
    assert heights(included_height=1) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"validator": "12"}, "validator"),
        ({"validator": "zz" * 20}, "validator"),
        ({"included_height": 0}, "included_height"),
        ({"included_height": 2**63}, "included_height"),
        ({"limit": 201}, "limit"),
        ({"cursor": "MQ"}, "cursor"),
        ({"cursor": "IjEi"}, "cursor"),
    ],
)
def test_wrong_parameters_are_named(accused: Any, params: dict[str, Any], field: str) -> None:
    answer = accused.get("/api/v1/evidence", params=params)
    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["field"]) == ("PARAMETER_INVALID", field)


def test_a_chain_without_offences_answers_an_empty_list_that_is_kept_until_the_next_block(site: Any) -> None:
    answer = site.get("/api/v1/evidence")
    assert answer.json() == {"items": [], "next_cursor": None}
    assert answer.headers["cache-control"] == "no-cache"


def test_offences_are_served_where_no_lists_are(make_world: Callable[[], Any], serve: Callable[..., Any]) -> None:
    world = make_world()
    world.make_block([])
    world.equivocate(0, 1)
    assert len(serve(world, has_explorer=False).get("/api/v1/evidence").json()["items"]) == 1
