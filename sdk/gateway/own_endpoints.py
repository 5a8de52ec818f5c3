"""What the gateway answers itself, below /gov/: tokens, the records that it keeps, how it stands, metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer.auth import Authenticator, Caller
from explorer.responses import read_body
from sdk.access_recording.read_store import RecordingFailed
from sdk.department_services.answers import make_service
from sdk.department_services.audit_queries import RECORDS_PATH
from sdk.gateway.denials import DENIALS, Denied
from sdk.gateway.drafts import NOBODY, Outcome, ReadRequest, Salts, make_draft
from sdk.gateway.parts import GatewayParts
from sdk.gateway.read_headers import ReadHeaders
from sdk.gateway.receipts import encode_receipt
from sdk.gateway.shown_records import ShownRecords
from sdk.gateway.tokens import (
    MAX_TOKEN_REQUEST_BYTES,
    READING_ROLES,
    IssuedToken,
    TokenClaims,
    TokenRequest,
    decode_token_request,
)
from verification.access.reads import NO_DIGEST, decode_read, read_id

TOKEN_PATH: Final = "/gov/token"  # noqa: S105 - a path
RECEIPTS_PATH: Final = "/gov/receipts/"
STATUS_PATH: Final = "/gov/status"
METRICS_PATH: Final = "/gov/metrics"
MAX_NUMBER_DIGITS: Final = 18
"""What a signed word holds, whatever the digits."""
MAX_IN_HAND: Final = 64
"""Signed requests that are checked at a time."""


def make_own_endpoints(parts: GatewayParts) -> Starlette:
    """Return the application behind /gov/; it takes signed requests from now on."""
    endpoints = _Endpoints(parts)
    routes = [
        Route(TOKEN_PATH, endpoints.issue_token, methods=["POST"]),
        Route(RECORDS_PATH, endpoints.show_records, methods=["GET"]),
        Route(RECEIPTS_PATH + "{number}", endpoints.show_receipt, methods=["GET"]),
        Route(STATUS_PATH, endpoints.show_status, methods=["GET"]),
        Route(METRICS_PATH, endpoints.show_metrics, methods=["GET"]),
    ]
    return make_service(routes, {code: HTTPStatus(kind.status) for code, kind in DENIALS.items()})


class _Endpoints:
    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._shown = ShownRecords(parts.recorder.store, parts.book.query_recorded_ms, parts.now_ms)
        names = frozenset(parts.config.http_names)
        self._authenticator = Authenticator(parts.chain_id, parts.book.find_caller, names, time.time_ns() // 1_000_000)
        # The authenticator's memory of nonces is for one thread at a time.
        self._lock = threading.Lock()
        self._in_hand = 0

    async def issue_token(self, request: Request) -> Response:
        """Exchange a signed request for a token."""
        async with read_body(request, MAX_TOKEN_REQUEST_BYTES) as body:
            issued: IssuedToken = await self._run(self._issue, request, body)
        return _json({"token": issued.token, "life_ms": issued.life_ms})

    async def show_records(self, request: Request) -> Response:
        """Show reads to auditors, and to parties those that they took part in."""
        return _json(await self._run(self._records, request))

    async def show_receipt(self, request: Request) -> Response:
        """Show the receipt of one read to the department that read, or that was read from."""
        return _json({"receipt": await self._run(self._receipt, request)})

    async def show_status(self, request: Request) -> Response:
        """Show how the gateway stands; nothing of any read."""
        parts, sight = self._parts, self._parts.book.sight
        return _json(
            {
                "department": parts.department,
                "recorder": "0x" + parts.recorder.store.recorder.hex(),
                "number": parts.recorder.number,
                "unplanned": parts.recorder.unplanned,
                "anchored_ms": parts.recorder.anchored_ms,
                "is_open": parts.recorder.is_open_for_reads(),
                "node_height": sight.height,
                "node_reason": sight.reason,
                "policy": parts.config.policy.on_outage,
                "stop_after_s": parts.config.policy.stop_after_s,
                "quota_part": parts.config.quota_part,
                "emptied": sorted(parts.emptied),
                "supply_unsaid": parts.supply_unsaid(),
            }
        )

    async def show_metrics(self, request: Request) -> Response:
        """Show Prometheus' text."""
        return Response(self._parts.metrics.text(), media_type="text/plain; version=0.0.4")

    def _identify(self, request: Request, body: bytes) -> Caller:
        with self._lock:
            return self._authenticator.identify(request, body)

    def _issue(self, request: Request, body: bytes) -> IssuedToken:
        parts = self._parts
        caller = self._identify(request, body)
        asked = decode_token_request(body)
        if not READING_ROLES & caller.roles:
            raise Denied("ROLE_MISSING")
        parts.check_open()
        life_ms = 1000 * parts.config.limits.token_s
        expires_ms = parts.now_ms() + life_ms
        claims = TokenClaims(
            caller.address, caller.department, bytes.fromhex(asked.grant), asked.purpose, asked.system, expires_ms
        )
        try:
            grant = parts.book.grant(claims.grant)
            if (grant.consumer, grant.provider) != (caller.department, parts.department):
                raise Denied("NOT_THE_CONSUMER")
        except Denied as denied:
            if denied.code != "CHAIN_UNREACHABLE":
                self._record_denial(request, body, claims, asked, denied)
            raise
        return IssuedToken(parts.tokens.issue(claims), life_ms)

    def _record_denial(
        self, request: Request, body: bytes, claims: TokenClaims, asked: TokenRequest, denied: Denied
    ) -> None:
        """Record that a known account tried to read under a grant that is none of its own."""
        parts = self._parts
        # Two threads may count at a time: the pace is then off by one, no more.
        if parts.denied.is_used_up(claims.department):
            raise Denied("TOO_MANY_DENIED")
        parts.denied.count(claims.department)
        nonce = bytes.fromhex(request.headers["gov-nonce"])
        headers = ReadHeaders(b"", nonce, "", "", NO_DIGEST)
        name = read_id(claims.grant, claims.account, nonce)
        now_ms = parts.now_ms()
        read = ReadRequest(headers, claims, name, "POST", TOKEN_PATH.encode("ascii"), body, now_ms)
        outcome = Outcome(denied.status, (), b"", f"POST {TOKEN_PATH}", "", NOBODY, refusal=denied.code)
        try:
            parts.recorder.record(make_draft(parts.department, now_ms, read, outcome, Salts().next()))
        except RecordingFailed as error:
            raise Denied("RECORDING_STOPPED", error.code) from None

    def _records(self, request: Request) -> dict[str, Any]:
        return self._shown.answer(self._identify(request, b""), request.query_params, request.headers)

    def _receipt(self, request: Request) -> str:
        caller = self._identify(request, b"")
        if not READING_ROLES & caller.roles:
            raise Denied("ROLE_MISSING")
        text = request.path_params["number"]
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS else 0
        for raw in self._parts.recorder.store.find_reads(first=number, last=number):
            read = decode_read(raw)
            if caller.department in (read.sharing.consumer, read.sharing.provider):
                # It says all that /gov/records does of this read.
                self._shown.note(caller, 0, (number,))
                return encode_receipt(self._parts.receipts.sign_again(read))
        raise Denied("RECEIPT_UNKNOWN")

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._in_hand >= MAX_IN_HAND:
            raise Denied("TOO_MANY_READS")
        self._in_hand += 1
        try:
            return await run_in_threadpool(work, *arguments)
        finally:
            self._in_hand -= 1


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), headers={"cache-control": "no-store"}, media_type="application/json")
