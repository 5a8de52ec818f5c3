"""A person's number as it is committed to, and what stands for it in access records (docs/spec/person-commitments.md)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

import msgspec

from sdk.identity_numbers import has_resident_number
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import key_id, open_with, seal_to, sealed_for
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import TaggedHash, hmac_sm3
from verification.certificate_files.document import HOLDER_CODE_TYPES
from verification.errors import InputError

RESIDENT_TYPE: Final = "111"
PERSON_CODE_TYPES: Final = {code: text for code, text in HOLDER_CODE_TYPES.items() if code not in {"001", "099"}}
"""Kinds of numbers that natural persons have, by their codes."""
MAX_PERSON_CODE: Final = 32
"""Characters of a number."""
PERSON_KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
COMMITMENT_BYTES: Final = 32
NO_PERSON: Final = bytes(COMMITMENT_BYTES)
"""In place of a commitment: the read was about nobody, or about somebody whose number is sealed beside it."""
SEALED_PLAINTEXT_BYTES: Final = 160
"""Of every sealed person: how long it is must not tell what kind of number it is."""

_KEY_ID: Final = TaggedHash("govnode/person-key/1")
_COMMITTED: Final = b"govnode/person/1\0"
_SEALED: Final = b"govnode/sealed-person/1"


class Person(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A natural person by a number: its kind and its characters. Neither is ever shown, logged or put on the ledger."""

    code_type: str
    code: str

    def __repr__(self) -> str:
        return f"Person({self.code_type})"


class PersonReference(msgspec.Struct, frozen=True):
    """What stands for a person in an access record: a commitment, or zeros and the number sealed to the auditing authority."""

    commitment: bytes
    sealed: bytes = b""


def normal_person(code: str, code_type: str = RESIDENT_TYPE) -> Person:
    """Return a person by a number as forms have it: blanks, full-width digits and small letters are the same number.

    Raises InputError PERSON_INVALID, which does not repeat the number: an identity number has to have its check character.
    """
    # What is normal is so when it is looked at again: a blank taken out may leave signs that go together.
    normal = _plain(_plain(code))
    if code_type not in PERSON_CODE_TYPES:
        raise InputError(
            "PERSON_INVALID",
            f"证件类型应为 {'、'.join(PERSON_CODE_TYPES)} 之一",
            f"expected one of the kinds of numbers {', '.join(PERSON_CODE_TYPES)}",
        )
    if code_type == RESIDENT_TYPE:
        normal = normal.replace("-", "")
        if len(normal) != 18 or not normal.isascii() or not has_resident_number(normal):
            raise InputError(
                "PERSON_INVALID",
                "不是有效的公民身份号码（18 位，末位为校验码）",
                "not an identity number of 18 characters with its date of birth and check character",
            )
    elif not 1 <= len(normal) <= MAX_PERSON_CODE or not normal.isprintable() or _plain(normal) != normal:
        raise InputError(
            "PERSON_INVALID",
            f"证件号码应为 1 至 {MAX_PERSON_CODE} 个字符",
            f"expected a number of 1 to {MAX_PERSON_CODE} characters",
        )
    return Person(code_type, normal)


def _plain(code: str) -> str:
    return "".join(unicodedata.normalize("NFKC", code).upper().split())


def person_commitment(key: bytes, person: Person) -> bytes:
    """Return the 32 bytes that stand for a person: HMAC-SM3 under the auditing authority's key of 32 bytes."""
    return hmac_sm3(key, _COMMITTED + _encode(person))


def person_key_id(key: bytes) -> bytes:
    """Return the 8 bytes that name a key for commitments and tell nothing of it: by them its renewal is noticed."""
    return _KEY_ID(key)[:KEY_ID_BYTES]


def seal_person(public_key: bytes, person: Person) -> bytes:
    """Return a person's number sealed to the auditing authority's encryption key (64 bytes), of one length for all."""
    return seal_to(public_key, _encode(person).ljust(SEALED_PLAINTEXT_BYTES, b"\0"), _SEALED)


def open_sealed_person(key: PrivateKey, sealed: bytes) -> Person:
    """Return the person in what seal_person made; raise DecryptionFailed, also where it holds no normal person."""
    raw = open_with(key, sealed, _SEALED)
    try:
        person = msgspec.msgpack.decode(raw.rstrip(b"\0"), type=Person)
        if len(raw) == SEALED_PLAINTEXT_BYTES and normal_person(person.code, person.code_type) == person:
            return person
    except (msgspec.DecodeError, ValueError, InputError):
        pass
    raise DecryptionFailed("what was sealed is no person's number")


def commit_sealed(person_key: bytes, keys: Sequence[PrivateKey], sealed: bytes) -> bytes:
    """Return the commitment to a sealed person, opened by whichever of the authority's keys it names; raise DecryptionFailed."""
    named = sealed_for(sealed)
    for key in keys:
        if key_id(key.public_key) == named:
            return person_commitment(person_key, open_sealed_person(key, sealed))
    raise DecryptionFailed("the person was sealed for another key")


def _encode(person: Person) -> bytes:
    return msgspec.msgpack.encode(person)
