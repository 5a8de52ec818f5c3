"""A list of certificates verified at one height: REST, and the page that takes a file; the report as JSON, CSV or PDF."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from contracts.fields import MAX_TIME_MS, MIN_TIME_MS
from explorer import list_schemas
from explorer.api_certificates import question_of
from explorer.list_verification import verify_list
from explorer.pages import render
from explorer.problems import Problem, Text
from explorer.reports import make_pdf
from explorer.responses import json_response, read_body
from explorer.services import services_of
from explorer.turns import client_of
from explorer.verification import Question
from node.ledger.ledger import HistoryNotHeld, UnknownHeight
from verification.days import show_time
from verification.errors import InputError
from verification.listed import Listed, ListReport, list_csv, list_report, read_list

MAX_LIST_ITEMS: Final = 1_000
"""Certificates in one request."""
MAX_LIST_BODY_BYTES: Final = 512 * 1024

Format = Annotated[
    Literal["json", "csv", "pdf"],
    Query(alias="format", description="报告的格式 / the report's format"),
]
FileKind = Literal["csv", "pdf"]

ROUTER = APIRouter(prefix="/api/v1", tags=["证照 Certificates"])
PAGES = APIRouter(include_in_schema=False)

_MEDIA_TYPES: Final[dict[FileKind, str]] = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}
_PAGE_TITLE: Final = Text("批量核验", "Verify a list")
_PAGE_SOURCE: Final = "网页提交 / sent by the page"
_LIST_NAME: Final = "govnode-verification"


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    identifier: Annotated[str, msgspec.Meta(max_length=200)]
    document_digest: Annotated[str, msgspec.Meta(max_length=66)] | None = None


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    items: Annotated[list[_Item], msgspec.Meta(min_length=1, max_length=MAX_LIST_ITEMS)]
    at_ms: Annotated[int, msgspec.Meta(ge=MIN_TIME_MS, le=MAX_TIME_MS)] | None = None
    day: Annotated[str, msgspec.Meta(max_length=10)] | None = None
    height: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None


_BODY_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_LIST_ITEMS,
            "items": {
                "type": "object",
                "required": ["identifier"],
                "additionalProperties": False,
                "properties": {
                    "identifier": {"type": "string", "maxLength": 200, "description": "证照标识 / the identifier"},
                    "document_digest": {
                        "type": ["string", "null"],
                        "maxLength": 66,
                        "description": "文件的 SM3 摘要 / SM3 of the document",
                    },
                },
            },
        },
        "at_ms": {
            "type": ["integer", "null"],
            "minimum": MIN_TIME_MS,
            "maximum": MAX_TIME_MS,
            "description": "查该时刻（毫秒）的状态 / status at this time in ms",
        },
        "day": {
            "type": ["string", "null"],
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            "description": "查当天（北京时间）的状态，不与 at_ms 同用 / status on this day of China time, instead of at_ms",
        },
        "height": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 2**62,
            "description": "截至该高度，缺省为最新 / as of this height, the latest by default",
        },
    },
}


@ROUTER.post(
    "/verifications",
    summary="批量核验证照 / Verify a list of certificates",
    response_model=list_schemas.ListReport,
    responses={
        200: {
            "description": "每份证照一个结论，截至同一高度 / one verdict a certificate, all as of one height",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY_SCHEMA}}}},
)
async def verifications(request: Request, form: Format = "json") -> Response:
    """至多 1000 份，截至同一高度；清单不留存、不入日志。 / At most 1,000, at one height; the list is neither kept nor logged."""
    async with read_body(request, MAX_LIST_BODY_BYTES) as body:
        asked = _decode(body)
        listed = [Listed(line, one.identifier, one.document_digest) for line, one in enumerate(asked.items, 1)]
        report = await _verify(request, listed, question_of(asked.at_ms, asked.day), asked.height)
        if form != "json":
            return await _file(request, report, form, "POST /api/v1/verifications", body)
    return json_response(request, msgspec.to_builtins(report) | {"is_all_valid": report.is_all_valid})


@PAGES.get("/verify/list")
async def list_page(request: Request) -> Response:
    """Show the form that takes a list."""
    return _page(request)


@PAGES.post("/verify/list")
async def verify_listed_page(request: Request) -> Response:
    """Show the verdicts on a list that a form sends, or send them as a file."""
    services = services_of(request)
    async with read_body(request, MAX_LIST_BODY_BYTES) as body:
        fields = _form_fields(body)
        text, form, day = (fields.get(name, "") for name in ("list", "format", "day"))
        question = question_of(None, day or None)
        # What is far too long is not read at all: that would take a second.
        count = sum(map(bool, map(str.strip, text.split("\n"))))
        if count > 2 * MAX_LIST_ITEMS:
            return _page(request, day=day, problem=_too_many(count))
        try:
            async with services.turns.take(client_of(request)):
                listed = await run_in_threadpool(read_list, text.encode("utf-8", "replace"))
        except InputError as error:
            return _page(request, text=text, day=day, problem=Text(error.zh, error.en))
        if len(listed) > MAX_LIST_ITEMS:
            return _page(request, day=day, problem=_too_many(len(listed)))
        report = await _verify(request, listed, question, None)
        if form in _MEDIA_TYPES:
            return await _file(request, report, "pdf" if form == "pdf" else "csv", _PAGE_SOURCE, text.encode())
    # A page of a thousand rows takes longer than the event loop may be held.
    return await run_in_threadpool(_page, request, text=text, day=day, report=report)


def _too_many(count: int) -> Text:
    return Text(
        f"网页一次至多核验 {MAX_LIST_ITEMS} 份，实为 {count} 份；更长的清单请用 govnode verify list",
        f"expected at most {MAX_LIST_ITEMS} certificates at once, found {count}; "
        "for longer lists there is govnode verify list",
    )


def _decode(body: bytes) -> _Asked:
    try:
        return msgspec.json.decode(body, type=_Asked)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem("BODY_INVALID", reason=Text(str(error), str(error))) from None


def _form_fields(body: bytes) -> dict[str, str]:
    """Return the fields of a form; raise Problem on anything but UTF-8 and few fields."""
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=4)
    except ValueError:
        raise Problem(
            "BODY_INVALID", expected=Text("网页表单的内容", "what the page's form sends"), found="another form"
        ) from None
    return {name: values[0] for name, values in found.items()}


async def _verify(request: Request, listed: list[Listed], question: Question, height: int | None) -> ListReport:
    """Return the report on a list; raise Problem before block 1, while a manifest is read, and for a height that is not kept."""
    services = services_of(request)
    ledger = services.view.ledger
    if not ledger.height:
        raise Problem("NOT_READY", reason=Text("还没有区块", "there is no block yet"))
    try:
        async with services.turns.take(client_of(request)):
            return await run_in_threadpool(
                verify_list, ledger, listed, question, height=height, ask_manifest=services.manifests.find_for_list
            )
    except HistoryNotHeld:
        raise
    except UnknownHeight as error:
        expected = Text(f" {ledger.oldest_height} 至 {ledger.height}", f"{ledger.oldest_height} to {ledger.height}")
        code = "HISTORY_PRUNED" if height is not None and height < ledger.oldest_height else "PARAMETER_INVALID"
        raise Problem(code, field="height", expected=expected, found=str(height)) from error


async def _file(request: Request, report: ListReport, form: FileKind, source: str, content: bytes) -> Response:
    # A PDF is made in a process: those who wait for a verdict do not wait for it.
    services = services_of(request)
    turns = services.turns if form == "csv" else services.report_turns
    async with turns.take(client_of(request)):
        made = await run_in_threadpool(_encode, report, form, source, content)
    return Response(
        made,
        media_type=_MEDIA_TYPES[form],
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{_LIST_NAME}-{report.height}.{form}"',
        },
    )


def _encode(report: ListReport, form: FileKind, source: str, content: bytes) -> bytes:
    return list_csv(report) if form == "csv" else make_pdf(list_report(report, source, content))


def _page(
    request: Request, *, text: str = "", day: str = "", report: ListReport | None = None, problem: Text | None = None
) -> Response:
    counts = () if report is None else list_report(report, "", b"").counts
    time = None if report is None or report.block_time_ms is None else show_time(report.block_time_ms)
    return render(
        request,
        "verify_list.html",
        _PAGE_TITLE,
        max_items=MAX_LIST_ITEMS,
        text=text,
        day=day,
        report=report,
        counts=counts,
        time=time,
        problem=problem,
    )
