"""What goes between a department and the auditing authority's person service: sealed both ways (docs/spec/person-commitments.md).

A request is sealed to the authority's encryption key with a fresh key in it, and the answer is sealed under that: only who could open
the request can have answered it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from sdk.persons.numbers import COMMITMENT_BYTES, KEY_ID_BYTES, MAX_PERSON_CODE, Person, normal_person
from sm_crypto import sm4
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import HEADER_BYTES, open_with, seal_to, sealed_for
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import TaggedHash
from verification.errors import InputError

COMMITMENTS_PATH: Final = "/person-commitments"
QUERY_SALT_HEADER: Final = "Gov-Audit-Salt"
"""With the persons it makes the digest of the query that an auditor has recorded on the ledger before."""
QUERY_SALT_BYTES: Final = 32
MAX_PERSONS: Final = 1_000
"""Of one request."""
MAX_PLAINTEXT_BYTES: Final = 64 + MAX_PERSONS * (4 * MAX_PERSON_CODE + 16)
MAX_REQUEST_BYTES: Final = HEADER_BYTES + MAX_PLAINTEXT_BYTES + sm4.TAG_BYTES
MAX_PERSON_KEYS: Final = 8
"""The authority's present key for commitments, and those that it had before."""
MAX_ANSWER_BYTES: Final = 64 + MAX_PERSON_KEYS * (KEY_ID_BYTES + MAX_PERSONS * COMMITMENT_BYTES)

_QUERY_HASH: Final = TaggedHash("govnode/person-query/1")
_REQUESTED: Final = b"govnode/person-request/1"
_ANSWER_BOUND: Final = TaggedHash("govnode/person-answer/1")
_NONCE: Final = bytes(sm4.NONCE_BYTES)
"""The same for all: an answer's key seals one answer."""


class Commitments(NamedTuple):
    """What stands for persons under one of the authority's keys: which key, and the commitments in the order of the persons."""

    key_id: bytes
    commitments: tuple[bytes, ...]


class PersonQuery(NamedTuple):
    """An auditor's query for persons that is on the ledger: its number, and the salt of its digest."""

    number: int
    salt: bytes


class PersonsAsked(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whose commitments are asked for, and the 16-byte key that the answer is to be sealed under."""

    answer_key: Annotated[bytes, msgspec.Meta(min_length=sm4.KEY_BYTES, max_length=sm4.KEY_BYTES)]
    persons: Annotated[tuple[Person, ...], msgspec.Meta(min_length=1, max_length=MAX_PERSONS)]

    def __repr__(self) -> str:
        return f"PersonsAsked({len(self.persons)})"


class SealedRequest(msgspec.Struct, frozen=True):
    """A request as it goes out, and the key of its answer, which stays."""

    body: bytes
    answer_key: bytes

    def __repr__(self) -> str:
        return f"SealedRequest({len(self.body)} bytes)"


def person_query_digest(salt: bytes, persons: tuple[Person, ...]) -> bytes:
    """Return the digest by which an auditor's query for persons is on the ledger; the salt keeps numbers from being tried out."""
    return _QUERY_HASH(salt + msgspec.msgpack.encode(persons))


def seal_request(public_key: bytes, persons: tuple[Person, ...]) -> SealedRequest:
    """Return a request for the commitments to 1 to MAX_PERSONS persons, sealed to the authority's key."""
    answer_key = secrets.token_bytes(sm4.KEY_BYTES)
    plaintext = msgspec.msgpack.encode(PersonsAsked(answer_key, persons))
    return SealedRequest(seal_to(public_key, plaintext, _REQUESTED), answer_key)


def open_request(keys: dict[bytes, PrivateKey], body: bytes) -> PersonsAsked:
    """Return what a request asks, by the authority's keys under their ids.

    Raises InputError SEALED_FOR_ANOTHER_KEY where the asker has to look for the present key, PERSONS_MALFORMED on anything else.
    """
    try:
        key = keys.get(sealed_for(body))
        if key is None:
            raise InputError(
                "SEALED_FOR_ANOTHER_KEY",
                "请求不是以审计机关现用的加密密钥封装的，请重新查询账本上的密钥",
                "the request is not sealed with the auditing authority's present encryption key: look it up on the ledger again",
            )
        asked = msgspec.msgpack.decode(open_with(key, body, _REQUESTED), type=PersonsAsked)
    except (DecryptionFailed, msgspec.DecodeError, ValueError):
        raise _malformed() from None
    for person in asked.persons:
        # One person has one commitment: what is written in another way is refused, not committed to as somebody else.
        if normal_person(person.code, person.code_type) != person:
            raise _malformed()
    return asked


def seal_answer(asked: PersonsAsked, body: bytes, answers: Sequence[Commitments]) -> bytes:
    """Return the answer to the request with these bytes: for each key a commitment to each person, in the order of the request."""
    plaintext = b"".join(one.key_id + b"".join(one.commitments) for one in answers)
    return sm4.seal(asked.answer_key, _NONCE, plaintext, _ANSWER_BOUND(body))


def open_answer(request: SealedRequest, count: int, sealed: bytes) -> list[Commitments]:
    """Return the commitments that were asked for, the present key's first; raise DecryptionFailed where it is no answer to it."""
    raw = sm4.open_sealed(request.answer_key, _NONCE, sealed, _ANSWER_BOUND(request.body))
    size = KEY_ID_BYTES + count * COMMITMENT_BYTES
    if not raw or len(raw) % size or len(raw) > MAX_PERSON_KEYS * size:
        raise DecryptionFailed(f"expected {count} commitments under each key, found {len(raw)} bytes")
    found = []
    for start in range(0, len(raw), size):
        end = start + KEY_ID_BYTES
        parts = tuple(raw[at : at + COMMITMENT_BYTES] for at in range(end, start + size, COMMITMENT_BYTES))
        found.append(Commitments(raw[start:end], parts))
    return found


def _malformed() -> InputError:
    return InputError(
        "PERSONS_MALFORMED",
        f"请求不是封装的 1 至 {MAX_PERSONS} 个证件号码，格式见 docs/spec/person-commitments.md",
        f"the request is not 1 to {MAX_PERSONS} sealed numbers in the form of docs/spec/person-commitments.md",
    )
