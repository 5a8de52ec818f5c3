"""The gateway as ASGI middleware: every request to the application behind it is a read under a grant, recorded before it is answered."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from contracts.data_sharing.sharing import RequestRecord
from explorer.problems import PROBLEM_MEDIA_TYPE
from sdk.access_recording.read_store import RecordingFailed
from sdk.gateway.body import Answer, cut_answer
from sdk.gateway.cutting_turns import CuttingTurns
from sdk.gateway.decision import AskedRead, Permission, check_in_force, check_rows, decide
from sdk.gateway.denials import Denied, problem_body
from sdk.gateway.drafts import NOBODY, Outcome, ReadRequest, Salts, make_draft
from sdk.gateway.own_endpoints import make_own_endpoints
from sdk.gateway.parts import GatewayParts
from sdk.gateway.read_headers import (
    DIGEST_HEADER,
    NUMBER_HEADER,
    RECEIPT_HEADER,
    parse_read_headers,
)
from sdk.gateway.receipt_signing import SignedRead
from sdk.gateway.receipts import MAX_HEADER_BYTES, encode_receipt
from sdk.gateway.routes import NO_ROUTE, OWN_PATHS, Content, Matched, match_route, person_number
from sdk.gateway.service_answer import AsgiApp, ServiceAnswer, ask_service, service_headers
from sdk.gateway.shares import Shares
from sdk.gateway.tokens import READING_ROLES, KnownToken, TokenClaims
from sdk.gateway.used_reads import UsedReads
from sdk.persons.numbers import PersonReference, normal_person
from verification.access.reads import read_id
from verification.errors import GovnodeError, InputError

LOG: Final = logging.getLogger("govnode.gateway")
MAX_METHOD: Final = 16
TAKING_BODIES: Final = frozenset({"POST"})
"""Methods whose body a service reads. What it leaves unread it may take for the next request, which nobody has decided on."""
CUT_AT_ONCE_BYTES: Final = 64 * 1024
"""Cut in some 10 ms; while a larger answer is cut, other reads go on."""
CUT_HEADERS: Final = ((b"content-type", b"application/json"),)
_NUMBER_NAME, _DIGEST_NAME, _RECEIPT_NAME = (
    name.lower().encode("ascii") for name in (NUMBER_HEADER, DIGEST_HEADER, RECEIPT_HEADER)
)


class _Known:
    """What has been found out about a read so far, so that a denial says as much as an answer does."""

    def __init__(self, method: str) -> None:
        self.operation, self.resource, self.person = f"{method[:MAX_METHOD]} {NO_ROUTE}", "", NOBODY


class AccessGateway:
    """Stands before one application. Requests below /gov/ are its own; every other one needs a token, and is a read."""

    def __init__(self, app: AsgiApp, parts: GatewayParts) -> None:
        """Take the data service, and everything that the gateway works with."""
        self._app, self._parts = app, parts
        self._own: AsgiApp = make_own_endpoints(parts)
        self._in_hand, self._bodies = Shares(), Shares()
        self._used = UsedReads(parts.config.limits.token_s)
        self._salts = Salts()
        self._cutting = CuttingTurns()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["path"].startswith(OWN_PATHS):
            await self._own(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        began_s = time.perf_counter()
        try:
            outcome, signed = await self._read(scope, receive)
            receipt = _receipt_headers(signed)
        except Denied as denied:
            outcome, receipt = _denial(denied), []
        except Exception as fault:  # noqa: BLE001 - whatever it is, no data leaves, and no text that may have data in it
            where = traceback.extract_tb(fault.__traceback__)[-1]
            LOG.error("%s at %s:%s", type(fault).__name__, where.filename, where.lineno)
            outcome, receipt = _denial(Denied("GATEWAY_FAULT")), []
        self._parts.metrics.count(outcome.refusal, time.perf_counter() - began_s)
        headers = [
            *outcome.headers,
            *receipt,
            (b"content-length", b"%d" % len(outcome.body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": outcome.status, "headers": headers})
        await send({"type": "http.response.body", "body": outcome.body})

    async def _read(self, scope: Any, receive: Any) -> tuple[Outcome, SignedRead]:
        """Return what a request is answered with, once that is recorded; raise Denied where it is nobody's read."""
        parts = self._parts
        now_ms = parts.now_ms()
        headers = parse_read_headers(scope["headers"])
        token = parts.tokens.open(headers.token, now_ms)
        claims = token.claims
        parts.check_open()
        if parts.denied.is_used_up(claims.department):
            raise Denied("TOO_MANY_DENIED")
        body = await self._body(receive, claims.department)
        # Not before the body is there: whoever lets it wait takes nobody's place.
        if not self._in_hand.take(claims.department, 1, parts.config.limits.reads_in_hand):
            raise Denied("TOO_MANY_READS")
        name = read_id(claims.grant, claims.account, headers.nonce, token.session)
        try:
            if not self._used.take(name):
                raise Denied("READ_REPEATED")
            target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            asked = ReadRequest(headers, claims, name, scope["method"], target, body, now_ms)
            return await self._read_once(scope, asked, token)
        finally:
            self._in_hand.give_back(claims.department, 1)

    async def _read_once(self, scope: Any, asked: ReadRequest, token: KnownToken) -> tuple[Outcome, SignedRead]:
        """Return what a read is answered with, once that is recorded; raise Denied RECORDING_STOPPED."""
        parts, grant = self._parts, asked.claims.grant
        try:
            outcome = await self._decide(scope, asked, token)
            signed = await self._record(asked, outcome)
            if parts.supply is not None and not outcome.refusal:
                parts.supply.note(grant, parts.book.kept_grant(grant))
            return outcome, signed
        finally:
            parts.quotas.settle(asked.read_id)

    async def _body(self, receive: Any, department: str) -> bytes:
        """Return a request's whole body; raise Denied as read_request does, or TOO_MANY_READS where too much is on its way."""
        limits, held = self._parts.config.limits, 0

        def hold(size: int) -> None:
            nonlocal held
            if not self._bodies.take(department, size, limits.reads_in_hand * limits.request_bytes):
                raise Denied("TOO_MANY_READS", "bodies on their way")
            held += size

        try:
            return await read_request(receive, limits.request_bytes, hold)
        except Denied:
            self._parts.denied.count(department)
            raise
        finally:
            self._bodies.give_back(department, held)

    async def _decide(self, scope: Any, asked: ReadRequest, token: KnownToken) -> Outcome:
        """Return the answer of the service as the grant lets it leave, or the denial."""
        known = _Known(asked.method)
        try:
            matched = match_route(self._parts.routes, asked.method, scope["path"], scope["raw_path"])
            known.operation, known.resource = matched.route.operation, matched.route.resource
            if asked.body and asked.method not in TAKING_BODIES:
                raise Denied("BODY_NOT_TAKEN")
            types = tuple(value for name, value in scope["headers"] if name == b"content-type")
            content = Content(scope["query_string"], asked.body, types)
            try:
                grant = await self._grant(asked.claims)
                permission = self._permit(scope, asked, matched, grant)
            except Denied:
                known.person = await self._unasked_person(matched, content)
                raise
            known.person = await self._person(asked.claims, matched, content)
            answer = await self._ask(scope, asked, token, permission)
            cut = await self._cut(asked, answer, matched, permission)
            # Once more: a block may have stopped or changed the grant while the service was at work, and time goes on.
            while (now := await self._grant(asked.claims)) is not grant:
                grant, before, permission = now, permission, self._permit(scope, asked, matched, now)
                # What else changes of a grant, such as a correction that is asked for, gives nobody more to do.
                if permission != before:
                    cut = await self._cut(asked, answer, matched, permission)
            check_in_force(grant, self._parts.now_ms())
            return self._let_out(asked, known, permission, matched, answer, cut)
        except Denied as denied:
            self._parts.denied.count(asked.claims.department)
            return _denial(denied, known)

    async def _unasked_person(self, matched: Matched, content: Content) -> PersonReference:
        """Return what stands for the person of a denied read; the person service is not asked, or anybody could use it up."""
        persons = self._parts.persons
        try:
            if persons is None or not (number := person_number(matched, content)):
                return NOBODY
            return await asyncio.to_thread(persons.find_unasked, normal_person(number, matched.route.person_type))
        except GovnodeError:
            return NOBODY

    async def _person(self, claims: TokenClaims, matched: Matched, content: Content) -> PersonReference:
        """Return what stands for the person whom a read that may be answered is about; raise Denied."""
        number = person_number(matched, content)
        if not number:
            return NOBODY
        persons = self._parts.persons
        assert persons is not None, "settings with a person's place have a service for it"
        try:
            person = normal_person(number, matched.route.person_type)
            if (found := persons.cached(person)) is not None:
                return found
            # The authority counts them as this department's, whoever asks here.
            if self._parts.persons_asked.is_used_up(claims.department):
                return await asyncio.to_thread(persons.find_unasked, person)
            self._parts.persons_asked.count(claims.department)
            return await asyncio.to_thread(persons.find, person)
        except InputError as error:
            raise Denied("PERSON_MISSING", error.code) from None
        except GovnodeError as error:
            raise Denied("PERSONS_UNREACHABLE", error.code) from None

    async def _grant(self, claims: TokenClaims) -> RequestRecord:
        """Return the grant; raise Denied where it is unknown, or the account that asked is no longer active."""
        book = self._parts.book
        caller = book.kept_account(claims.account) or await asyncio.to_thread(book.find_caller, claims.account)
        if caller is None or caller.department != claims.department:
            raise Denied("ACCOUNT_INACTIVE")
        if not READING_ROLES & caller.roles:
            raise Denied("ROLE_MISSING")
        grant = book.kept_grant(claims.grant)
        return await asyncio.to_thread(book.grant, claims.grant) if grant is None else grant

    def _permit(self, scope: Any, asked: ReadRequest, matched: Matched, grant: RequestRecord) -> Permission:
        parts, claims = self._parts, asked.claims
        now_ms = parts.now_ms()
        client = scope.get("client") or ("",)
        read = AskedRead(
            matched.route.resource,
            parts.department,
            claims.department,
            claims.purpose,
            asked.headers.case_type,
            asked.headers.case_number,
            client[0],
        )
        permission = decide(grant, read, now_ms, parts.places)
        parts.quotas.check(grant.id, permission, parts.recorder.next_ms)
        return permission

    async def _ask(self, scope: Any, asked: ReadRequest, token: KnownToken, permission: Permission) -> ServiceAnswer:
        parts = self._parts
        told = [*token.told, (b"gov-case", quote(asked.headers.case_number, safe="").encode("ascii"))]
        if asked.body:
            told.append((b"content-length", b"%d" % len(asked.body)))
        headers = scope["headers"]
        if permission.cut.is_counted:
            # Rows are counted where the route says: the caller does not choose a form that has them elsewhere.
            headers = [
                *((name, value) for name, value in headers if name != b"accept"),
                (b"accept", b"application/json"),
            ]
        # What a server can do beside ASGI, such as send a file by its path, would pass the gateway by.
        inner = {**scope, "headers": service_headers(headers, parts.forwarded, told), "extensions": {}}
        limits = parts.config.limits
        return await ask_service(self._app, inner, asked.body, limits.answer_bytes, limits.service_timeout_s)

    async def _cut(self, asked: ReadRequest, answer: ServiceAnswer, matched: Matched, permission: Permission) -> Answer:
        """Return what of the service's answer may leave; raise Denied. A large one is cut while others are answered."""
        if len(answer.body) <= CUT_AT_ONCE_BYTES:
            return _cut(answer, matched, permission)
        return await self._cutting.run(asked.claims.department, lambda: _cut(answer, matched, permission))

    def _let_out(
        self,
        asked: ReadRequest,
        known: _Known,
        permission: Permission,
        matched: Matched,
        answer: ServiceAnswer,
        cut: Answer,
    ) -> Outcome:
        """Return what leaves; raise Denied where its rows are more than the quotas have left."""
        parts = self._parts
        parts.quotas.take(asked.read_id, asked.claims.grant, permission, cut.rows, parts.recorder.next_ms)
        if cut.rows and not cut.columns and not permission.cut.is_whole:
            parts.note_emptied(matched.route)
        return Outcome(
            answer.status,
            # What the service says around a body may say what is cut from it: a file's name, say.
            answer.headers if permission.cut.is_whole else CUT_HEADERS,
            cut.body,
            known.operation,
            known.resource,
            known.person,
            cut.rows,
            cut.columns,
        )

    async def _record(self, asked: ReadRequest, outcome: Outcome) -> SignedRead:
        """Return the read and its receipt once it is on disk; raise Denied RECORDING_STOPPED where it is not."""
        draft = make_draft(self._parts.department, self._parts.now_ms(), asked, outcome, self._salts.next())
        try:
            return await self._parts.receipts.record(draft)
        except RecordingFailed as error:
            raise Denied("RECORDING_STOPPED", error.code) from None


def _receipt_headers(signed: SignedRead) -> list[tuple[bytes, bytes]]:
    receipt = encode_receipt(signed.receipt)
    headers = [
        (_NUMBER_NAME, b"%d" % signed.recorded.number),
        (_DIGEST_NAME, signed.recorded.digest.hex().encode("ascii")),
    ]
    if len(receipt) <= MAX_HEADER_BYTES:
        headers.append((_RECEIPT_NAME, receipt.encode("ascii")))
    return headers


async def read_request(receive: Callable[[], Awaitable[Any]], limit: int, hold: Callable[[int], None]) -> bytes:
    """Return a request's whole body, telling `hold` the size of each part that waits.

    Raises Denied REQUEST_TOO_LARGE or REQUEST_INCOMPLETE, and what `hold` raises.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and message["type"] == "http.request":
        if len(body) > limit:
            raise Denied("REQUEST_TOO_LARGE", f"> {limit}")
        return body
    chunks = bytearray()
    while message["type"] == "http.request":
        part = message.get("body", b"")
        if len(chunks) + len(part) > limit:
            raise Denied("REQUEST_TOO_LARGE", f"> {limit}")
        hold(len(part))
        chunks += part
        if not message.get("more_body", False):
            return bytes(chunks)
        message = await receive()
    raise Denied("REQUEST_INCOMPLETE")


def _cut(answer: ServiceAnswer, matched: Matched, permission: Permission) -> Answer:
    """Return the body that may leave; one that cannot be taken apart leaves where nothing in it has to be. Raises Denied."""
    if not 200 <= answer.status < 300:
        if permission.needs_rows or not 400 <= answer.status < 500:
            raise _service_refused(answer.status)
        return Answer(answer.body, 0, ())
    try:
        if not answer.is_json:
            raise Denied("ANSWER_NOT_JSON")
        cut = cut_answer(answer.body, matched.route.shape, permission.cut)
    except Denied:
        if permission.needs_rows:
            raise
        return Answer(answer.body, 1, ())
    check_rows(permission, cut.rows)
    return cut


def _denial(denied: Denied, known: _Known | None = None) -> Outcome:
    """Return what a request is told that gets no data."""
    known = known or _Known("")
    body = problem_body(denied.code, denied.status, denied.zh, denied.en)
    headers = ((b"content-type", PROBLEM_MEDIA_TYPE.encode("ascii")),)
    return Outcome(denied.status, headers, body, known.operation, known.resource, known.person, refusal=denied.code)


def _service_refused(status: int) -> Denied:
    denied = Denied("SERVICE_REFUSED", str(status))
    if 400 <= status < 500:
        denied.status = status
    return denied
