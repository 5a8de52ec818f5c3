"""The auditing authority's person service, an ASGI application: signed requests with sealed numbers in, sealed commitments out.

Nothing of a number is kept or logged; the book of counts says how many each department asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.accounts import RECORDER
from explorer.auth import Authenticator, Caller
from explorer.problems import PROBLEM_MEDIA_TYPE, Problem
from explorer.responses import read_body
from sdk.client import Client
from sdk.errors import NodeUnreachable
from sdk.persons.counts import CountBook
from sdk.persons.exchange import COMMITMENTS_PATH, MAX_REQUEST_BYTES, open_request, seal_answer
from sdk.persons.numbers import PERSON_KEY_BYTES, person_commitment
from sdk.system_contracts.members import Members
from sm_crypto.sealing import key_id
from sm_crypto.sm2 import PrivateKey
from verification.errors import GovnodeError, InputError

SEALED_MEDIA_TYPE: Final = "application/octet-stream"
MAX_IN_HAND: Final = 32
"""Requests that are being answered; what comes beyond is told to come back."""
CALLER_KEPT_S: Final = 5.0
"""How long an account that was looked up counts as active: what is removed asks no longer than that."""
MAX_CALLERS_KEPT: Final = 10_000

_STATUSES: Final = {
    "PERSONS_MALFORMED": HTTPStatus.BAD_REQUEST,
    "PERSON_INVALID": HTTPStatus.BAD_REQUEST,
    "SEALED_FOR_ANOTHER_KEY": HTTPStatus.CONFLICT,
    "TOO_MANY_PERSONS": HTTPStatus.TOO_MANY_REQUESTS,
}
"""Of what is refused, unless it is FORBIDDEN."""


class PersonDesk:
    """What answers: the authority's key for commitments, its keys that requests are sealed to, and the book of counts."""

    def __init__(
        self,
        client: Client,
        person_key: bytes,
        keys: Sequence[PrivateKey],
        counts: CountBook,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Take a client of the authority's own node, the 32-byte key, and its encryption keys, the present one among them."""
        if len(person_key) != PERSON_KEY_BYTES:
            raise ValueError(f"expected a key of {PERSON_KEY_BYTES} bytes, found {len(person_key)}")
        self._client, self._person_key, self._counts, self._now_ms = client, person_key, counts, now_ms
        self._keys = {key_id(key.public_key): key for key in keys}
        self._callers: dict[bytes, tuple[float, Caller | None]] = {}
        self._lock = threading.Lock()

    def check_keys(self, authority: str) -> None:
        """Return if the authority's present encryption key is among the keys; raise InputError KEY_NOT_PRESENT."""
        present = Members(self._client).encryption_key(authority)
        if key_id(present.public_key) not in self._keys:
            raise InputError(
                "KEY_NOT_PRESENT",
                f"给出的密钥中没有部门 {authority} 现用的加密密钥（第 {present.number} 把），请用 --encryption-key 指明",
                f"the present encryption key of department {authority} (number {present.number}) is not among those given: "
                "name its file with --encryption-key",
            )

    def find_caller(self, address: bytes) -> Caller | None:
        """Return the active account at a 20-byte address as of CALLER_KEPT_S ago or later, or None."""
        now = time.monotonic()
        with self._lock:
            kept = self._callers.get(address)
        if kept is not None and now - kept[0] < CALLER_KEPT_S:
            return kept[1]
        members = Members(self._client)
        caller = None
        if members.department_of(address):
            account = members.account(address)
            caller = Caller(address, account.department, frozenset(account.roles))
        with self._lock:
            if len(self._callers) >= MAX_CALLERS_KEPT:
                self._callers.clear()
            self._callers[address] = (now, caller)
        return caller

    def answer(self, caller: Caller, body: bytes) -> bytes:
        """Return the sealed answer to a sealed request, counted before it is returned; raise GovnodeError with the reason."""
        if RECORDER not in caller.roles:
            raise Problem("ROLE_REQUIRED")
        asked = open_request(self._keys, body)
        self._counts.take(caller.department, caller.address, len(asked.persons), self._now_ms())
        commitments = tuple(person_commitment(self._person_key, person) for person in asked.persons)
        return seal_answer(asked, body, commitments)


def make_person_service(desk: PersonDesk, chain_id: int, http_names: frozenset[str]) -> Starlette:
    """Return the application; it answers to its address and `http_names`, and to requests signed from now on."""
    endpoint = _Endpoint(desk, Authenticator(chain_id, desk.find_caller, http_names, time.time_ns() // 1_000_000))
    app = Starlette(
        routes=[Route(COMMITMENTS_PATH, endpoint.take, methods=["POST"])],
        exception_handlers={
            Problem: _on_problem,
            GovnodeError: _on_refusal,
            HTTPException: _on_http_exception,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Endpoint:
    """The endpoint, with a bound on how many requests are in hand."""

    def __init__(self, desk: PersonDesk, authenticator: Authenticator) -> None:
        self._desk, self._authenticator = desk, authenticator
        self._identify_lock = threading.Lock()
        self._in_hand = 0

    async def take(self, request: Request) -> Response:
        """Answer one signed request."""
        async with read_body(request, MAX_REQUEST_BYTES) as body:
            if self._in_hand >= MAX_IN_HAND:
                raise Problem("NOT_READY")
            self._in_hand += 1
            try:
                answer = await run_in_threadpool(self._answer, request, body)
            finally:
                self._in_hand -= 1
        return Response(answer, headers={"cache-control": "no-store"}, media_type=SEALED_MEDIA_TYPE)

    def _answer(self, request: Request, body: bytes) -> bytes:
        # The authenticator's memory of nonces is for one thread at a time.
        with self._identify_lock:
            caller = self._authenticator.identify(request, body)
        return self._desk.answer(caller, body)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for Problem alone"
    return error.response()


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GovnodeError), "registered for it alone"
    unreachable = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, NodeUnreachable) else HTTPStatus.FORBIDDEN
    status = _STATUSES.get(error.code, unreachable)
    members = {
        "type": f"urn:govnode:problem:{error.code}",
        "title": error.code,
        "status": int(status),
        "detail": str(error),
        "code": error.code,
        "zh": error.zh,
        "en": error.en,
    }
    return Response(orjson.dumps(members), status, headers={"cache-control": "no-store"}, media_type=PROBLEM_MEDIA_TYPE)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it alone"
    is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    return Problem("METHOD_NOT_ALLOWED" if is_method else "PATH_UNKNOWN", found=request.url.path).response()


async def _on_fault(request: Request, error: Exception) -> Response:
    return Problem("INTERNAL_ERROR").response()
