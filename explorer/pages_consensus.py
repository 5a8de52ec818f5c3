"""The web pages about consensus: how it stands, who decides, who signed twice; and one block with whose seals it carries."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from contracts.offences import OffenceRecord, count_offences
from contracts.validator_sets import load_candidates, load_validator_set, load_validators_at
from explorer.api_chain import show_places, show_validators
from explorer.api_consensus import ADDRESS_BYTES, find_page, list_set_changes, show_offence
from explorer.pages import head_age_ms, render, show_operation
from explorer.paging import MAX_LIMIT
from explorer.problems import Problem, Text
from explorer.services import Services, hex_parameter, services_of
from node.http.presentation import awaited_validators, show_header, sync_percent
from node.view import BEHIND_HEIGHTS
from node.wire.away import IN_CHINESE
from verification.days import show_moment

OFFENCES_A_PAGE: Final = 20
MAX_BLOCK_ROWS: Final = 200
MAX_SET_ROWS: Final = 20
MAX_HEIGHT_MS: Final = 10_000
"""A height under way that began after the latest block is done long before that block is so old, with one absent proposer too."""
STEP_TEXTS: Final = {
    "new_height": Text("等待交易", "waiting for transactions"),
    "propose": Text("提议", "propose"),
    "prevote": Text("预投票", "prevote"),
    "precommit": Text("预提交", "precommit"),
}

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/consensus")
async def consensus(
    request: Request,
    validator: Annotated[str, Query(max_length=42)] = "",
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> Response:
    """Show how consensus stands as this node sees it, the validators, how their set changed, and who signed twice."""
    services = services_of(request)
    address = hex_parameter("validator", validator, ADDRESS_BYTES) if validator else None
    records, following = await run_in_threadpool(find_page, services, cursor, OFFENCES_A_PAGE, address)
    state = services.state()
    status = services.view.status()
    members = _show_members(services)
    changes = list_set_changes(services, None, MAX_SET_ROWS)
    chosen = f"validator={validator}&" if validator else ""
    return render(
        request,
        "consensus.html",
        Text("共识", "Consensus"),
        standing=status,
        abstention=_abstention(status.abstention),
        step=STEP_TEXTS.get(status.step, Text(status.step, status.step)),
        is_behind=status.target_height > status.height + BEHIND_HEIGHTS,
        percent=sync_percent(status),
        awaited=awaited_validators(services.view, status) if head_age_ms(services) > MAX_HEIGHT_MS else [],
        quorum=services.view.ledger.validators().quorum,
        members=members,
        here_count=sum(member["is_here"] for member in members),
        candidates=load_candidates(state),
        changes=changes,
        set_number=load_validator_set(state).number,
        offences=[_show_offence_row(services, record) for record in records],
        validator=validator,
        next_url=None if following is None else f"/consensus?{chosen}cursor={following}#evidence",
    )


@ROUTER.get("/blocks/{height}")
async def block(request: Request, height: Annotated[str, Path(max_length=20)]) -> Response:
    """Show one final block: who proposed and sealed it, its transactions, and the evidence that it carries."""
    services = services_of(request)
    ledger = services.view.ledger
    number = int(height) if height.isascii() and height.isdecimal() else 0
    if not 1 <= number <= ledger.height:
        raise Problem("NOT_FOUND", expected=Text(f"1 至 {ledger.height}", f"1 to {ledger.height}"), found=height)
    sealed = ledger.sealed_block(number)
    missing = ledger.missing_history if number <= ledger.base_height else None
    count = 0 if missing is not None else len(sealed.body.transactions)
    transactions = await run_in_threadpool(_show_transactions, services, number, count)
    deciders = load_validators_at(services.state(), number)
    names = {"0x" + entry.address.hex(): entry.name for entry in deciders}
    shown = show_header(sealed.header, sealed.certificate)
    records, _ = await run_in_threadpool(find_page, services, None, MAX_LIMIT, None, number)
    return render(
        request,
        "block.html",
        Text(f"区块 {number}", f"Block {number}"),
        block=shown,
        time=show_moment(shown["time_ms"]),
        proposer=names.get(shown["proposer"], shown["proposer"]),
        signers=[deciders[index].name for index in shown["signers"]],
        decider_count=len(deciders),
        transaction_count=len(sealed.body.transactions),
        transactions=transactions,
        missing=missing,
        evidence_count=len(sealed.body.evidence),
        offences=[_show_offence_row(services, record) for record in records],
        last_height=ledger.height,
    )


def _abstention(reason: str) -> Text:
    """Return what the page says of a validator that does not vote: the two languages of its reason, apart."""
    if not reason:
        return Text("在追赶，暂不投票", "catching up, does not vote yet")
    zh, _, en = reason.partition(" / ")
    return Text(f"弃权：{zh}", f"abstains: {en or zh}")


def _show_members(services: Services) -> list[dict[str, Any]]:
    """Return the validators in voting order, each with where it stands as this node sees it, and its offences."""
    view, state = services.view, services.state()
    peers, progress = {peer.name: peer for peer in view.peers()}, view.peer_progress()
    own = view.status()
    shown = []
    for member in show_validators(services):
        name = member["name"] or ""
        is_self = name == view.name
        peer, seen = peers.get(name), progress.get(name)
        reason = None
        if not is_self and (peer is None or not peer.is_connected):
            reason = Text("没有连进来", "it has not called")
            if peer is not None and peer.reason_code is not None:
                reason = Text(IN_CHINESE[peer.reason_code], peer.reason)
        shown.append(
            {
                **member,
                "is_self": is_self,
                "is_here": reason is None,
                "reason": reason,
                "height": own.height if is_self else None if seen is None else seen.height,
                "round": own.round if is_self else None if seen is None else seen.round,
                "clock_offset_ms": None if seen is None else seen.clock_offset_ms,
                "offence_count": count_offences(state, bytes.fromhex(member["address"][2:])),
            }
        )
    return shown


def _show_transactions(services: Services, height: int, count: int) -> list[dict[str, Any]]:
    places = [(height, index) for index in range(min(count, MAX_BLOCK_ROWS))]
    return [show_operation(services, transaction) for transaction in show_places(services, places)]


def _show_offence_row(services: Services, record: OffenceRecord) -> dict[str, Any]:
    return {**show_offence(services, record), "time": show_moment(record.included_ms)}
