"""The auditing authority's person service, an ASGI application: signed requests with sealed numbers in, sealed commitments out.

Nothing of a number is kept or logged; the book of counts says how many each department asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.accounts import AUDITOR, RECORDER
from explorer.auth import Caller
from explorer.problems import Problem
from explorer.responses import read_body
from sdk.client import Client
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.answers import make_service
from sdk.department_services.audit_queries import QUERY_HEADER, check_query, query_times
from sdk.persons.counts import CountBook
from sdk.persons.exchange import (
    COMMITMENTS_PATH,
    MAX_PERSON_KEYS,
    MAX_REQUEST_BYTES,
    QUERY_SALT_BYTES,
    QUERY_SALT_HEADER,
    Commitments,
    open_request,
    person_query_digest,
    seal_answer,
)
from sdk.persons.numbers import PERSON_KEY_BYTES, person_commitment, person_key_id
from sdk.system_contracts.members import Members
from sm_crypto.sealing import key_id
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError

SEALED_MEDIA_TYPE: Final = "application/octet-stream"
MAX_IN_HAND: Final = 32
"""Requests that are being answered; what comes beyond is told to come back."""

_STATUSES: Final = {
    "PERSONS_MALFORMED": HTTPStatus.BAD_REQUEST,
    "PERSON_INVALID": HTTPStatus.BAD_REQUEST,
    "SEALED_FOR_ANOTHER_KEY": HTTPStatus.CONFLICT,
    "TOO_MANY_PERSONS": HTTPStatus.TOO_MANY_REQUESTS,
}
"""Of what is refused, unless it is FORBIDDEN."""


class PersonDesk:
    """What answers: the authority's keys for commitments, its keys that requests are sealed to, and the book of counts."""

    def __init__(
        self,
        client: Client,
        person_keys: Sequence[bytes],
        keys: Sequence[PrivateKey],
        counts: CountBook,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Take a client of the authority's own node, its 32-byte keys for commitments, and its encryption keys.

        The first of `person_keys` is the present one, which recorders are answered by; auditors are answered by all of them, so that they
        find what was recorded under a former one. The present encryption key is among `keys`.
        """
        if not 1 <= len(person_keys) <= MAX_PERSON_KEYS or any(len(key) != PERSON_KEY_BYTES for key in person_keys):
            raise ValueError(
                f"expected 1 to {MAX_PERSON_KEYS} keys of {PERSON_KEY_BYTES} bytes, found {len(person_keys)}"
            )
        self._client, self._person_keys, self._counts, self._now_ms = client, person_keys, counts, now_ms
        self._keys = {key_id(key.public_key): key for key in keys}

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

    def answer(self, caller: Caller, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the sealed answer to a sealed request, counted before it is returned; raise GovnodeError with the reason.

        A recorder asks as it likes; an auditor has recorded the query for these very persons, which the headers name, before.
        """
        is_audit = AUDITOR in caller.roles and (QUERY_HEADER in headers or RECORDER not in caller.roles)
        if not is_audit and RECORDER not in caller.roles:
            raise Problem("ROLE_REQUIRED")
        asked = open_request(self._keys, body)
        if is_audit:
            digest = person_query_digest(_salt(headers), asked.persons)
            check_query(headers.get(QUERY_HEADER, ""), digest, caller, query_times(self._client), self._now_ms())
        self._counts.take(caller.department, caller.address, len(asked.persons), self._now_ms())
        used = self._person_keys if is_audit else self._person_keys[:1]
        answers = [
            Commitments(person_key_id(key), tuple(person_commitment(key, person) for person in asked.persons))
            for key in used
        ]
        return seal_answer(asked, body, answers)


def _salt(headers: Mapping[str, str]) -> bytes:
    """Return the salt of an auditor's query, empty where the headers have none: no query has that."""
    try:
        salt = bytes.fromhex(headers.get(QUERY_SALT_HEADER, ""))
    except ValueError:
        return b""
    return salt if len(salt) == QUERY_SALT_BYTES else b""


def make_person_service(desk: PersonDesk, callers: SignedCallers) -> Starlette:
    """Return the application, whose callers sign their requests."""
    endpoint = _Endpoint(desk, callers)
    return make_service([Route(COMMITMENTS_PATH, endpoint.take, methods=["POST"])], _STATUSES)


class _Endpoint:
    """The endpoint, with a bound on how many requests are in hand."""

    def __init__(self, desk: PersonDesk, callers: SignedCallers) -> None:
        self._desk, self._callers = desk, callers
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
        caller = self._callers.identify(request, body)
        return self._desk.answer(caller, request.headers, body)
