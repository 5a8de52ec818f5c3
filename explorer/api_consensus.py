"""REST: what an auditor sees of consensus: validators that signed twice, and how the set of validators changed."""

from __future__ import annotations

import heapq
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from contracts.offences import LATEST_OFFENCES, OFFENCE_KINDS, OffenceRecord, walk_offences
from contracts.validator_sets import ValidatorRecord, load_numbered_set, load_validator_set
from explorer import schemas
from explorer.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    cursor_problem,
    decode_number_cursor,
    decode_text_cursor,
    encode_cursor,
)
from explorer.problems import Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, services_of
from node.http.json_form import to_json
from node.ledger.ledger import StateReader

ADDRESS_BYTES: Final = 20
MAX_HEIGHT: Final = 2**62
KIND_TEXTS: Final = {
    "proposal": Text("提议", "proposal"),
    "prevote": Text("预投票", "prevote"),
    "precommit": Text("预提交", "precommit"),
}

Position = tuple[int, bytes, int]
"""What offences are ordered by: block that carries the evidence, validator, the validator's number of it."""

_CURSOR = re.compile(r"(0|[1-9][0-9]{0,18})-([0-9a-f]{40})-(0|[1-9][0-9]{0,18})")

ROUTER = APIRouter(prefix="/api/v1", tags=["共识 Consensus"])


@ROUTER.get(
    "/evidence", summary="重复签名的证据 / Evidence of equivocation", response_model=schemas.Page[schemas.Offence]
)
async def evidence(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    validator: Annotated[
        str | None,
        Query(
            max_length=42,
            description="共识节点地址，20 字节 / a validator's address, 20 bytes",
            json_schema_extra=hex_schema(20),
        ),
    ] = None,
    included_height: Annotated[
        int | None, Query(ge=1, le=MAX_HEIGHT, description="载有证据的区块 / the block that carries the evidence")
    ] = None,
) -> Response:
    """共识节点在同一高度、轮次签了两个不同的值，经所载区块核验；新的在前。 / A validator signed two values in one place; newest first."""
    services = services_of(request)
    address = None if validator is None else hex_parameter("validator", validator, ADDRESS_BYTES)
    records, following = await run_in_threadpool(find_page, services, cursor, limit, address, included_height)
    items = [show_offence(services, record) for record in records]
    return json_response(request, {"items": items, "next_cursor": following}, cacheable=True)


@ROUTER.get(
    "/validator-sets",
    summary="共识节点的变更 / Changes of the validators",
    response_model=schemas.Page[schemas.ValidatorSetChange],
)
async def validator_sets(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """每一届自哪个高度起表决、谁加入、谁退出；新的在前。 / From which height each set decides, who joined, who left; newest first."""
    services = services_of(request)
    changes = await run_in_threadpool(list_set_changes, services, decode_number_cursor(cursor), limit)
    following = encode_cursor(changes[-1]["number"]) if changes and changes[-1]["number"] else None
    return json_response(request, {"items": changes, "next_cursor": following}, cacheable=True)


def list_set_changes(services: Services, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the validator sets numbered below `before`, newest first, each with who joined and left with it."""
    state = services.state()
    last = load_validator_set(state).number
    number = last if before is None else min(before - 1, last)
    later = load_numbered_set(state, number)
    shown: list[dict[str, Any]] = []
    while later is not None and len(shown) < limit:
        earlier = load_numbered_set(state, later.number - 1)
        members = {record.address: record for record in later.validators}
        former = {} if earlier is None else {record.address: record for record in earlier.validators}
        shown.append(
            {
                "number": later.number,
                "first_height": later.first_height,
                "validator_count": len(members),
                "joined": [_show_member(services, record) for key, record in members.items() if key not in former],
                "left": [_show_member(services, record) for key, record in former.items() if key not in members],
            }
        )
        later = earlier
    return shown


def _show_member(services: Services, record: ValidatorRecord) -> dict[str, Any]:
    return {
        "address": to_json(record.address),
        "name": record.name,
        "department": record.department,
        "department_name": services.department_name(record.department),
    }


def find_page(
    services: Services,
    cursor: str | None,
    limit: int,
    validator: bytes | None = None,
    included_height: int | None = None,
) -> tuple[list[OffenceRecord], str | None]:
    """Return a page of offences, newest first, and the cursor of the next one; raise Problem on another list's cursor."""
    before = _decode_position(cursor)
    records = _find_offences(services.state(), before, limit, validator, included_height)
    return records, _encode_position(records[-1]) if len(records) == limit else None


def list_accused(state: StateReader) -> list[bytes]:
    """Return the addresses of all validators of which the state holds an offence."""
    return [key[len(LATEST_OFFENCES.prefix) :] for key, _ in state.iterate(LATEST_OFFENCES.prefix)]


def show_offence(services: Services, record: OffenceRecord) -> dict[str, Any]:
    """Return an offence in JSON's types, with words for its kind; an empty vote's value is null."""
    kind = OFFENCE_KINDS[record.kind]
    return {
        "address": to_json(record.address),
        "name": record.name,
        "department": record.department,
        "department_name": services.department_name(record.department),
        "height": record.height,
        "round": record.round,
        "kind": kind,
        "kind_text": KIND_TEXTS[kind]._asdict(),
        "first_value": to_json(record.first_value) if record.first_value else None,
        "second_value": to_json(record.second_value) if record.second_value else None,
        "included_height": record.included_height,
        "included_ms": record.included_ms,
        "included_block": f"/api/v1/blocks/{record.included_height}",
        "number": record.number,
    }


def _find_offences(
    state: StateReader, before: Position | None, limit: int, validator: bytes | None, included_height: int | None
) -> list[OffenceRecord]:
    """Return offences below a position, newest first; each validator's are linked in that order, so that few are read."""
    accused = list_accused(state) if validator is None else [validator]
    found: list[OffenceRecord] = []
    for record in heapq.merge(*(walk_offences(state, address) for address in accused), key=_position, reverse=True):
        if included_height is not None and record.included_height < included_height:
            break
        if before is not None and _position(record) >= before:
            continue
        if included_height is not None and record.included_height > included_height:
            continue
        found.append(record)
        if len(found) == limit:
            break
    return found


def _position(record: OffenceRecord) -> Position:
    return record.included_height, record.address, record.number


def _encode_position(record: OffenceRecord) -> str:
    return encode_cursor(f"{record.included_height}-{record.address.hex()}-{record.number}")


def _decode_position(cursor: str | None) -> Position | None:
    text = decode_text_cursor(cursor)
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise cursor_problem(cursor)
    return int(match[1]), bytes.fromhex(match[2]), int(match[3])
