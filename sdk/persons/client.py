"""A department's client of the person service: commitments from memory or from the service, or a sealed number where it cannot be asked."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from typing import Final

import msgspec

from sdk.client import Client
from sdk.closing import Closing
from sdk.department_services.audit_queries import QUERY_HEADER
from sdk.department_services.service_client import Limits, ServiceClient, ServiceKind, Signing
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.persons.exchange import (
    COMMITMENTS_PATH,
    MAX_ANSWER_BYTES,
    MAX_PERSONS,
    QUERY_SALT_HEADER,
    Commitments,
    PersonQuery,
    open_answer,
    seal_request,
)
from sdk.persons.numbers import Person, PersonReference, seal_person
from sdk.request_signing import RequestSigner
from sdk.system_contracts.members import Members
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sm3 import hmac_sm3
from verification.errors import GovnodeError

DEFAULT_TIMEOUT_S: Final = 2.0
"""A read waits for its person no longer than this; then the number is sealed instead."""
SILENCE_S: Final = 5.0
"""After the service did not answer it is left alone for so long: not every read has to wait for it to be found away."""
KEY_KEPT_S: Final = 600.0
"""How long the authority's encryption key counts as its present one, unless the service says that it is not."""
CACHED_S: Final = 86_400.0
"""How long a commitment is kept in memory: a day after the authority renewed its key everybody has noticed, whomever they ask for."""
MAX_CACHED: Final = 100_000
"""Persons that are kept in memory, about 200 bytes each."""
_KIND: Final = ServiceKind(
    "人员承诺服务", "a person service", "http://127.0.0.1:8592", "SERVICE_UNREACHABLE", "NOT_A_SERVICE"
)
_MALFORMED: Final = "PERSONS_MALFORMED"
_ANOTHER_KEY: Final = "SEALED_FOR_ANOTHER_KEY"


class PersonCounts(msgspec.Struct):
    """How persons were found so far: in memory, by the service, or not at all, so that their numbers were sealed."""

    cached: int = 0
    asked: int = 0
    sealed: int = 0


class PersonClient(Closing):
    """Finds what stands for a person in an access record; its methods may be called from any thread. Use as a context manager."""

    def __init__(
        self,
        service: str,
        client: Client,
        signer: RequestSigner,
        authority: str,
        *,
        query: PersonQuery | None = None,
        max_cached: int = MAX_CACHED,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Take the service's `http(s)://host:port`, a client of the own node, a recorder's key, and the authority's code.

        An auditor's key takes the `query` that it has recorded on the ledger, for the persons that it asks for.
        """
        self._client, self._signer, self._authority = client, signer, authority
        self._service = ServiceClient(_KIND, service, Limits(MAX_ANSWER_BYTES, timeout_s, timeout_s))
        self._headers = {} if query is None else {QUERY_HEADER: str(query.number), QUERY_SALT_HEADER: query.salt.hex()}
        self._max_cached = max_cached
        self._cache: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        """Commitments, and until when each is kept."""
        self._key_id = b""
        # What lies in memory for long is no number either: its place in the cache is keyed anew for each process.
        self._cache_key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._public_key = b""
        self._key_read_s = 0.0
        self._silent_until_s = 0.0
        self.counts = PersonCounts()
        self.last_problem: GovnodeError | None = None
        """Why a number was last sealed, None since the service last answered."""

    def close(self) -> None:
        """End the connections."""
        self._service.close()

    def cached(self, person: Person) -> PersonReference | None:
        """Return what stands for a person where it is in memory; asks nobody, so it may be called anywhere."""
        name = self._cache_name(person)
        with self._lock:
            commitment, until_s = self._cache.get(name, (b"", 0.0))
            if time.monotonic() >= until_s:
                return None
            self._cache.move_to_end(name)
            self.counts.cached += 1
        return PersonReference(commitment)

    def find(self, person: Person) -> PersonReference:
        """Return what stands for a person: its commitment, or its number sealed to the authority where the service cannot be asked.

        Raises GovnodeError only where neither can be had: the authority has no encryption key, or the own node does not answer.
        """
        found = self.cached(person)
        if found is not None:
            return found
        if time.monotonic() >= self._silent_until_s:
            try:
                return PersonReference(self.commitments([person])[0])
            except GovnodeError as error:
                # What the service says of this one request is no reason to ask for nobody else.
                if error.code != _MALFORMED:
                    self._silent_until_s = time.monotonic() + SILENCE_S
                self.last_problem = error
        return self._seal(person)

    def find_unasked(self, person: Person) -> PersonReference:
        """Return what stands for a person without a word to the service: what is in memory, or its number sealed; raise as find does."""
        return self.cached(person) or self._seal(person)

    def commitments(self, persons: list[Person]) -> list[bytes]:
        """Return the service's commitments to at most MAX_PERSONS persons, in their order, and keep them in memory.

        Raises RequestRefused with the service's reason, NodeUnreachable where it gives no answer that fits.
        """
        present = self.all_commitments(persons)[0]
        until_s = time.monotonic() + CACHED_S
        with self._lock:
            if present.key_id != self._key_id:
                # The authority has another key: what is in memory is of the former one.
                self._cache.clear()
                self._key_id = present.key_id
            self.last_problem = None
            self.counts.asked += len(persons)
            for person, commitment in zip(persons, present.commitments, strict=True):
                self._cache[self._cache_name(person)] = (commitment, until_s)
            while len(self._cache) > self._max_cached:
                self._cache.popitem(last=False)
        return list(present.commitments)

    def all_commitments(self, persons: list[Person]) -> list[Commitments]:
        """Return the commitments under every key that the service answers by, the present one first; former ones are for auditors alone.

        Raises as `commitments` does.
        """
        if len(persons) > MAX_PERSONS:
            raise ValueError(f"expected at most {MAX_PERSONS} persons, found {len(persons)}")
        try:
            return self._ask(persons)
        except RequestRefused as refused:
            if refused.code != _ANOTHER_KEY:
                raise
            self._public_key = b""
            return self._ask(persons)

    def _ask(self, persons: list[Person]) -> list[Commitments]:
        request = seal_request(self._authority_key(), tuple(persons))
        by = Signing(self._signer, self._client.chain_id)
        raw = self._service.ask("POST", COMMITMENTS_PATH, request.body, self._headers, by=by)
        try:
            return open_answer(request, len(persons), raw)
        except DecryptionFailed:
            raise self._service.another() from None

    def _seal(self, person: Person) -> PersonReference:
        reference = PersonReference(bytes(32), seal_person(self._authority_key(), person))
        with self._lock:
            self.counts.sealed += 1
        return reference

    def _authority_key(self) -> bytes:
        """Return the authority's present encryption key; one that was read before still serves while the node is away."""
        now_s = time.monotonic()
        if not self._public_key or now_s - self._key_read_s > KEY_KEPT_S:
            try:
                self._public_key = Members(self._client).encryption_key(self._authority).public_key
                self._key_read_s = now_s
            except NodeUnreachable:
                if not self._public_key:
                    raise
        return self._public_key

    def _cache_name(self, person: Person) -> bytes:
        return hmac_sm3(self._cache_key, msgspec.msgpack.encode(person))
