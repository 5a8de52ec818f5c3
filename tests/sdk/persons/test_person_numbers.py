"""Persons' numbers: what is the same one, what stands for it, and that the number itself never shows."""

from __future__ import annotations

import pytest
from gmssl import sm3 as gmssl_sm3
from hypothesis import example, given
from hypothesis import strategies as st

from sdk.persons.exchange import MAX_PERSONS, Commitments, open_answer, open_request, seal_answer, seal_request
from sdk.persons.numbers import Person, normal_person, open_sealed_person, person_commitment, person_key_id, seal_person
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import key_id, seal_to
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError

NUMBER = "99010119900101123X"
RESIDENT = "990101199001011240"
KEY = bytes(range(32))
AUTHORITY, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in (41, 42))
SPECIFIED = "133304359957243097e7294b209b7e4fd6a81de446b80cfa9071c5c6eb493ea0"
KEYS = {key_id(AUTHORITY.public_key): AUTHORITY}


def with_check_character(body: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


RESIDENTS = [with_check_character(f"99010119900101{n:03d}") for n in range(200)]
ENDING_IN_X = next(number for number in RESIDENTS if number.endswith("X"))


def hmac_by_gmssl(key: bytes, message: bytes) -> bytes:
    def digest(data: bytes) -> bytes:
        return bytes.fromhex(gmssl_sm3.sm3_hash(list(data)))

    block = key.ljust(64, b"\0")
    inner = digest(bytes(b ^ 0x36 for b in block) + message)
    return digest(bytes(b ^ 0x5C for b in block) + inner)


def test_one_number_written_in_several_ways_is_one_person() -> None:
    person = normal_person(ENDING_IN_X)
    wide = "".join(chr(ord(character) + 0xFEE0) for character in ENDING_IN_X)
    grouped = f" {ENDING_IN_X[:6]} {ENDING_IN_X[6:14]}-{ENDING_IN_X[14:]}\n"
    for written in (ENDING_IN_X.lower(), wide, grouped):
        assert normal_person(written) == person
    assert normal_person("e 12345678", "414") == Person("414", "E12345678")


@pytest.mark.parametrize(
    ("code", "code_type"),
    [
        (RESIDENTS[0][:-1] + ("1" if RESIDENTS[0][-1] != "1" else "2"), "111"),
        (with_check_character("99010119901301123"), "111"),
        (RESIDENTS[0] + "0", "111"),
        ("", "111"),
        ("", "414"),
        ("E" * 33, "414"),
        ("E1\x00", "414"),
        ("11330100002500287T", "001"),
        ("E12345678", ""),
    ],
)
def test_what_is_no_persons_number_is_refused_without_repeating_it(code: str, code_type: str) -> None:
    with pytest.raises(InputError) as refused:
        normal_person(code, code_type)
    assert refused.value.code == "PERSON_INVALID"
    assert not code or code not in str(refused.value)


def test_a_commitment_is_hmac_sm3_as_documented() -> None:
    person = normal_person(RESIDENTS[0])
    # docs/spec/person-commitments.md: MessagePack of an array of two texts.
    message = b"govnode/person/1\0" + b"\x92\xa3111\xb2" + RESIDENTS[0].encode()
    assert person_commitment(KEY, person) == hmac_by_gmssl(KEY, message)
    assert person_commitment(KEY, normal_person("990101199001010000")).hex() == SPECIFIED
    assert person_commitment(KEY, person) != person_commitment(bytes(32), person)
    assert person_commitment(KEY, Person("414", "E1")) != person_commitment(KEY, Person("413", "E1"))


def test_a_number_never_shows_where_an_object_is_printed() -> None:
    person = normal_person(RESIDENTS[0])
    request = seal_request(AUTHORITY.public_key, (person,))
    for shown in (person, request, open_request(KEYS, request.body)):
        assert RESIDENTS[0] not in f"{shown!r} {shown}"
    assert request.answer_key.hex() not in repr(request)
    assert repr(request.answer_key) not in repr(request)


@given(st.sampled_from(RESIDENTS))
def test_a_sealed_person_opens_for_the_authority_and_has_one_length(number: str) -> None:
    person = normal_person(number)
    sealed = seal_person(AUTHORITY.public_key, person)
    assert open_sealed_person(AUTHORITY, sealed) == person
    assert number.encode() not in sealed
    passport = Person("516", "H12345678")
    assert len(seal_person(AUTHORITY.public_key, passport)) == len(sealed) == 310
    assert open_sealed_person(AUTHORITY, seal_person(AUTHORITY.public_key, passport)) == passport
    with pytest.raises(DecryptionFailed):
        open_sealed_person(OTHER, sealed)


@given(st.binary(max_size=200))
@example(b"\x92\xa1\xff\xa1\xff".ljust(160, b"\0"))
def test_sealed_bytes_that_are_no_person_are_refused(raw: bytes) -> None:
    for sealed in (raw, seal_to(AUTHORITY.public_key, raw, b"govnode/sealed-person/1")):
        with pytest.raises(DecryptionFailed):
            open_sealed_person(AUTHORITY, sealed)


def test_an_answer_opens_for_whoever_asked_and_for_this_request_alone() -> None:
    persons = tuple(normal_person(number) for number in RESIDENTS[:3])
    first, second = (seal_request(AUTHORITY.public_key, persons) for _ in range(2))
    commitments = tuple(person_commitment(KEY, person) for person in persons)
    answers = [Commitments(person_key_id(KEY), commitments), Commitments(b"former..", commitments[::-1])]
    sealed = seal_answer(open_request(KEYS, first.body), first.body, answers)
    assert open_answer(first, 3, sealed) == answers
    for request, count, answer in (
        (second, 3, sealed),
        (first, 2, sealed),
        (first, 3, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (first, 3, b""),
    ):
        with pytest.raises(DecryptionFailed):
            open_answer(request, count, answer)


@given(st.binary(max_size=400))
@example(b"\x92\xc4\x10" + bytes(16) + b"\x91\x92\xa1\xff\xa1\xff")
def test_requests_that_are_none_are_refused(raw: bytes) -> None:
    for body in (raw, seal_to(AUTHORITY.public_key, raw, b"govnode/person-request/1")):
        with pytest.raises(InputError) as refused:
            open_request(KEYS, body)
        assert refused.value.code in {"PERSONS_MALFORMED", "SEALED_FOR_ANOTHER_KEY"}


def test_a_request_has_to_be_normal_bounded_and_for_this_authority() -> None:
    person = normal_person(ENDING_IN_X)
    written = Person("111", ENDING_IN_X.lower())
    for public_key, persons, code in (
        (AUTHORITY.public_key, (written,), "PERSONS_MALFORMED"),
        (AUTHORITY.public_key, (person,) * (MAX_PERSONS + 1), "PERSONS_MALFORMED"),
        (AUTHORITY.public_key, (), "PERSONS_MALFORMED"),
        (AUTHORITY.public_key, (Person("111", RESIDENTS[0][:-1]),), "PERSON_INVALID"),
        (OTHER.public_key, (person,), "SEALED_FOR_ANOTHER_KEY"),
    ):
        with pytest.raises(InputError) as refused:
            open_request(KEYS, seal_request(public_key, persons).body)
        assert refused.value.code == code


def test_a_normal_number_is_normal_when_it_is_looked_at_again() -> None:
    person = normal_person("A¨", "414")
    assert normal_person(person.code, "414") == person
    assert open_sealed_person(AUTHORITY, seal_person(AUTHORITY.public_key, person)) == person


def test_an_identity_number_in_chinese_digits_is_none() -> None:
    with pytest.raises(InputError, match="18"):
        normal_person("九九〇一〇一一九九〇〇一〇一一二四〇")
