"""The web pages of access records: every stream and whether it is on time, and the batches of one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.data_sharing.access import OUTAGE_POLICIES, BatchRecord, StreamRecord, is_late, load_stream_count
from explorer.data_sharing.api_access import find_stream, read_batches, read_streams
from explorer.pages import render
from explorer.paging import MAX_CURSOR_LENGTH, decode_number_cursor, encode_cursor
from explorer.problems import Text
from explorer.services import Services, services_of
from verification.days import show_moment

ROWS_A_PAGE: Final = 50

ROUTER = APIRouter(include_in_schema=False)

PageCursor = Annotated[str | None, Query(max_length=MAX_CURSOR_LENGTH)]


@ROUTER.get("/access")
async def streams(request: Request, cursor: PageCursor = None) -> Response:
    """Show every stream there is, in the order of declaration."""
    services = services_of(request)
    first = decode_number_cursor(cursor) or 0
    count = load_stream_count(services.state())
    last = min(count, first + ROWS_A_PAGE)
    return render(
        request,
        "access_streams.html",
        Text("访问记录", "Access records"),
        streams=[_show_stream(services, one) for one in read_streams(services, first, last)],
        next_cursor=encode_cursor(last) if last < count else None,
    )


@ROUTER.get("/access/{department}/{recorder}")
async def stream(request: Request, department: str, recorder: str, cursor: PageCursor = None) -> Response:
    """Show one stream, what its recorder has declared, and its batches, newest first."""
    services = services_of(request)
    found = find_stream(services, department[:18], recorder)
    batches = read_batches(services, found, decode_number_cursor(cursor), ROWS_A_PAGE)
    following = batches[-1].batch_number if batches else 0
    return render(
        request,
        "access_stream.html",
        Text("访问记录流", "Stream of access records"),
        stream=_show_stream(services, found),
        batches=[_show_batch(batch) for batch in batches],
        next_cursor=encode_cursor(following) if following > 1 else None,
    )


def _show_stream(services: Services, stream: StreamRecord) -> dict[str, Any]:
    return {
        "department": stream.department,
        "department_name": services.department_name(stream.department),
        "recorder": "0x" + stream.recorder.hex(),
        "number": stream.number,
        "digest": stream.digest.hex(),
        "batch_number": stream.batch_number,
        "covered": show_moment(stream.covered_ms) if stream.batch_number else "",
        "due": show_moment(stream.due_ms),
        "ended": show_moment(stream.ended_ms) if stream.ended_ms else "",
        "is_late": is_late(stream, services.view.ledger.head_time_ms),
        "heartbeat_s": stream.heartbeat_s,
        "max_batch_records": stream.max_batch_records,
        "on_outage": Text(*OUTAGE_POLICIES[stream.on_outage]),
        "stop_after_s": stream.stop_after_s,
        "bodies_at": stream.bodies_at,
        "second_place": stream.second_place,
        "declared": show_moment(stream.declared_ms),
    }


def _show_batch(batch: BatchRecord) -> dict[str, Any]:
    return {
        "number": batch.batch_number,
        "first": batch.first_number,
        "last": batch.first_number + batch.count - 1,
        "count": batch.count,
        "served": batch.served,
        "denied": batch.denied,
        "irregular": batch.irregular,
        "rows": batch.rows,
        "to": show_moment(batch.to_ms),
        "recorded": show_moment(batch.recorded_ms),
        "root": batch.root.hex(),
    }
