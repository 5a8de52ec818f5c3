"""The auditing authority's person service over HTTP, and the client that seals numbers where it cannot be asked."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdk.errors import RequestRefused
from sdk.persons.client import CACHED_S, PersonClient
from sdk.persons.counts import CountBook, PersonLimits
from sdk.persons.exchange import COMMITMENTS_PATH, PersonQuery, person_query_digest, seal_request
from sdk.persons.numbers import NO_PERSON, Person, normal_person, open_sealed_person, person_commitment, person_key_id
from sdk.persons.service import PersonDesk
from sdk.request_signing import signed_headers
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.clocks import set_clock
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.ports import free_ports
from tests.sdk.persons.conftest import PERSON_KEY, PersonOffice, add_account
from tests.sdk.persons.test_person_numbers import RESIDENTS
from verification.errors import InputError

PERSONS = [normal_person(number) for number in RESIDENTS]


def asking(office: PersonOffice, url: str = "", **options: Any) -> PersonClient:
    return PersonClient(url or office.url, office.client, office.signer, DEPARTMENT, **{"timeout_s": 60.0} | options)


def post(office: PersonOffice, body: bytes, signer: Signer) -> httpx.Response:
    authority = office.url.removeprefix("http://")
    headers = signed_headers(signer, office.client.chain_id, "POST", authority, COMMITMENTS_PATH.encode(), body)
    return httpx.post(
        office.url + COMMITMENTS_PATH, content=body, headers=headers, trust_env=False, verify=False, timeout=60
    )


def test_departments_get_the_authoritys_commitments_and_keep_them(office: PersonOffice) -> None:
    with asking(office) as client:
        assert client.cached(PERSONS[0]) is None
        found = client.find(PERSONS[0])
        assert (found.commitment, found.sealed) == (person_commitment(PERSON_KEY, PERSONS[0]), b"")
        assert client.find(PERSONS[0]) == client.cached(PERSONS[0]) == found
        assert (client.counts.asked, client.counts.cached, client.counts.sealed) == (1, 2, 0)
        assert client.commitments(PERSONS[:3]) == [person_commitment(PERSON_KEY, one) for one in PERSONS[:3]]


def test_memory_is_bounded_and_what_was_used_last_stays(office: PersonOffice) -> None:
    with asking(office, max_cached=2) as client:
        client.commitments(PERSONS[:2])
        client.find(PERSONS[0])
        client.find(PERSONS[2])
        assert client.cached(PERSONS[1]) is None
        assert client.cached(PERSONS[0]) is not None


def test_numbers_are_sealed_while_the_service_is_away(office: PersonOffice) -> None:
    with asking(office, f"http://127.0.0.1:{free_ports(1)[0]}") as client:
        for person in PERSONS[:2]:
            found = client.find(person)
            assert found.commitment == NO_PERSON
            assert open_sealed_person(office.keys[0], found.sealed) == person
        assert client.counts.sealed == 2
        assert client.last_problem is not None
        assert client.last_problem.code == "SERVICE_UNREACHABLE"


def test_a_renewed_key_of_the_authority_is_found(office: PersonOffice) -> None:
    with asking(office) as client:
        client.find(PERSONS[0])
        office.renew_key()
        del office.keys[0]
        office.desk.__init__(office.client, [PERSON_KEY], office.keys, office.counts)  # type: ignore[misc]
        assert client.find(PERSONS[1]).commitment == person_commitment(PERSON_KEY, PERSONS[1])
        assert client.counts.sealed == 0


def test_a_service_without_the_present_key_does_not_start(office: PersonOffice) -> None:
    office.desk.check_keys(DEPARTMENT)
    desk = PersonDesk(office.client, [PERSON_KEY], [PrivateKey.generate()], office.counts)
    with pytest.raises(InputError) as refused:
        desk.check_keys(DEPARTMENT)
    assert refused.value.code == "KEY_NOT_PRESENT"


class Clock:
    """Time as a process has it: what only goes on, in seconds, and the clock on the wall, in milliseconds."""

    def __init__(self) -> None:
        self.elapsed_s = 1_000.0
        self.wall_ms = 1_780_012_800_000

    def wait(self, seconds: float) -> None:
        self.elapsed_s += seconds
        self.wall_ms += int(seconds * 1000)


def asked(book: CountBook, department: str, persons: int, clock: Clock) -> str:
    """Ask for so many persons; return the code of the refusal, empty for none."""
    try:
        book.take(department, bytes(20), persons, clock.wall_ms)
    except RequestRefused as refused:
        return refused.code
    return ""


def test_a_department_has_a_limit_by_minute_and_day_that_a_restart_does_not_lift(tmp_path: Path) -> None:
    path, clock = tmp_path / "counts.db", Clock()
    limits = PersonLimits(per_minute=10, per_day=25)

    def opened() -> CountBook:
        # Another process: what only goes on began anew.
        clock.elapsed_s = 5.0
        return CountBook(path, limits, lambda: clock.elapsed_s)

    book = opened()
    assert asked(book, CONSUMER, 10, clock) == ""
    assert asked(book, CONSUMER, 1, clock) == asked(book, DEPARTMENT, 11, clock) == "TOO_MANY_PERSONS"
    assert asked(book, DEPARTMENT, 10, clock) == ""
    for _ in range(3):
        book.close()
        book = opened()
        clock.wait(15)
        assert asked(book, CONSUMER, 1, clock) == "TOO_MANY_PERSONS"
    clock.wait(20)
    assert asked(book, CONSUMER, 10, clock) == ""
    clock.wait(61)
    assert asked(book, CONSUMER, 6, clock) == "TOO_MANY_PERSONS"
    assert asked(book, CONSUMER, 5, clock) == ""
    clock.wait(86_400)
    assert asked(book, CONSUMER, 10, clock) == ""
    counts = {(one.day, one.department): (one.requests, one.persons, one.refused) for one in book.days()}
    book.close()
    assert counts == {
        ("2026-05-29", DEPARTMENT): (2, 10, 11),
        ("2026-05-29", CONSUMER): (8, 25, 10),
        ("2026-05-30", CONSUMER): (1, 10, 0),
    }


def test_within_no_minute_are_there_more_than_the_limit(tmp_path: Path) -> None:
    """Neither across the edge of a minute of the clock, nor by a clock that is set back and forth."""
    clock = Clock()
    book = CountBook(tmp_path / "counts.db", PersonLimits(per_minute=10), lambda: clock.elapsed_s)
    clock.wait(59)
    assert asked(book, CONSUMER, 10, clock) == ""
    clock.wait(1)
    assert asked(book, CONSUMER, 1, clock) == "TOO_MANY_PERSONS"
    for shift_ms in (-120_000, 240_000, -120_000):
        clock.wall_ms += shift_ms
        assert asked(book, CONSUMER, 1, clock) == "TOO_MANY_PERSONS"
    clock.wait(61)
    assert asked(book, CONSUMER, 4, clock) == ""
    clock.wait(30)
    assert asked(book, CONSUMER, 6, clock) == ""
    clock.wait(29)
    assert asked(book, CONSUMER, 1, clock) == "TOO_MANY_PERSONS"
    clock.wait(3)
    assert asked(book, CONSUMER, 4, clock) == ""
    assert asked(book, CONSUMER, 1, clock) == "TOO_MANY_PERSONS"
    book.close()


def test_over_the_limit_the_client_seals_and_says_why(office: PersonOffice) -> None:
    with asking(office) as client:
        client.commitments(PERSONS[:40])
        assert client.find(PERSONS[50]).sealed
        assert client.last_problem is not None
        assert client.last_problem.code == "TOO_MANY_PERSONS"


def test_a_person_is_found_without_a_word_to_the_service(office: PersonOffice) -> None:
    with asking(office) as client:
        found = client.find_unasked(PERSONS[0])
        assert open_sealed_person(office.keys[0], found.sealed) == PERSONS[0]
        assert client.counts.asked == 0
        known = client.find(PERSONS[1])
        assert client.find_unasked(PERSONS[1]) == known


@pytest.mark.parametrize("content", [b"", b"counts\n" * 100])
def test_another_file_is_no_book_of_counts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    if not content:
        CountBook(path, PersonLimits()).close()
        return
    with pytest.raises(InputError) as refused:
        CountBook(path, PersonLimits())
    assert refused.value.code == "COUNTS_INVALID"
    assert path.read_bytes() == content


def test_who_may_not_ask_gets_a_reason(office: PersonOffice) -> None:
    body = seal_request(office.keys[0].public_key, (PERSONS[0],)).body
    for signer, status, code in (
        (Signer(office.node.chain.clerk), 403, "ROLE_REQUIRED"),
        (Signer(PrivateKey.generate()), 403, "ACCOUNT_UNKNOWN"),
    ):
        answer = post(office, body, signer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    unsigned = httpx.post(office.url + COMMITMENTS_PATH, content=body, trust_env=False, verify=False, timeout=60)
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "SIGNATURE_REQUIRED")
    for raw, status, code in (
        (b"", 400, "PERSONS_MALFORMED"),
        (body[:-1], 400, "PERSONS_MALFORMED"),
        (seal_request(office.signer.public_key, (PERSONS[0],)).body, 409, "SEALED_FOR_ANOTHER_KEY"),
        (bytes(300_000), 413, "BODY_TOO_LARGE"),
    ):
        answer = post(office, raw, office.signer)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert office.counts.days() == []


def test_an_auditor_asks_under_a_query_that_is_on_the_ledger(office: PersonOffice) -> None:
    chain = office.node.chain
    auditor = add_account(chain, DEPARTMENT, "审计", "auditor")
    salt = bytes(range(32))
    digest = person_query_digest(salt, (PERSONS[0],))
    # Two queries: the first one is another account's.
    for key in (add_account(chain, DEPARTMENT, "另一审计", "auditor"), auditor):
        chain.call(key, "audits", "record_query", kind="person", digest=digest, basis="审2026-1")
    office.desk.__init__(  # type: ignore[misc]
        office.client, [PERSON_KEY], office.keys, office.counts, now_ms=lambda: chain.time_ms
    )
    for number, found in ((0, ""), (1, ""), (3, ""), (2, person_commitment(PERSON_KEY, PERSONS[0]))):
        query = PersonQuery(number, salt)
        with PersonClient(office.url, office.client, Signer(auditor), DEPARTMENT, query=query) as client:
            if found:
                assert client.commitments(PERSONS[:1]) == [found]
                continue
            with pytest.raises(RequestRefused) as refused:
                client.commitments(PERSONS[:1])
            assert refused.value.code == "QUERY_NOT_RECORDED"
    # What is on the ledger is a query for one person, and no licence to ask for another.
    others = [(PersonQuery(2, salt), PERSONS[1:2]), (PersonQuery(2, bytes(32)), PERSONS[:1]), (None, PERSONS[:1])]
    for said, asked in others:
        with (
            PersonClient(office.url, office.client, Signer(auditor), DEPARTMENT, query=said) as client,
            pytest.raises(RequestRefused) as refused,
        ):
            client.commitments(asked)
        assert refused.value.code == "QUERY_NOT_RECORDED"
    assert [one.persons for one in office.counts.days()] == [1]


def renew_person_key(office: PersonOffice) -> bytes:
    """Give the authority another key for commitments, and have its service answer auditors by the former one too."""
    renewed = bytes(range(1, 33))
    office.desk.__init__(  # type: ignore[misc]
        office.client, [renewed, PERSON_KEY], office.keys, office.counts, now_ms=lambda: office.node.chain.time_ms
    )
    return renewed


def test_a_renewed_key_for_commitments_is_noticed_with_the_next_person(office: PersonOffice) -> None:
    with asking(office) as client:
        client.commitments(PERSONS[:2])
        renewed = renew_person_key(office)
        assert client.find(PERSONS[2]).commitment == person_commitment(renewed, PERSONS[2])
        assert client.cached(PERSONS[0]) is None
        assert client.find(PERSONS[0]).commitment == person_commitment(renewed, PERSONS[0])
        assert len(client.all_commitments(PERSONS[:1])) == 1


def test_nothing_stays_in_memory_for_longer_than_a_day(office: PersonOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the same persons again and again notices a renewal too."""
    with asking(office) as client:
        client.find(PERSONS[0])
        now_s = time.monotonic()
        set_clock(monkeypatch, "sdk.persons.client", monotonic=lambda: now_s + CACHED_S - 60)
        assert client.cached(PERSONS[0]) is not None
        set_clock(monkeypatch, "sdk.persons.client", monotonic=lambda: now_s + CACHED_S + 60)
        assert client.cached(PERSONS[0]) is None


def test_an_auditor_is_told_what_stood_for_a_person_before_a_renewal(office: PersonOffice) -> None:
    chain = office.node.chain
    auditor, salt = add_account(chain, DEPARTMENT, "审计", "auditor"), bytes(range(32))
    digest = person_query_digest(salt, (PERSONS[0],))
    chain.call(auditor, "audits", "record_query", kind="person", digest=digest, basis="审2026-1")
    keys = [renew_person_key(office), PERSON_KEY]
    query = PersonQuery(1, salt)
    with PersonClient(office.url, office.client, Signer(auditor), DEPARTMENT, query=query) as client:
        found = client.all_commitments(PERSONS[:1])
    assert found == [(person_key_id(key), (person_commitment(key, PERSONS[0]),)) for key in keys]


def test_no_number_is_kept_sent_in_clear_or_logged(
    office: PersonOffice, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    planted = [Person("414", "PLANTED987"), *PERSONS[:2]]
    with asking(office) as client:
        request = seal_request(office.keys[0].public_key, tuple(planted))
        answer = post(office, request.body, office.signer)
        for person in planted:
            client.find(person)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for person in planted:
        for kept in (request.body, answer.content, stored, caplog.text.encode()):
            assert person.code.encode() not in kept
            assert person_commitment(PERSON_KEY, person) not in kept


def test_an_address_that_is_none_is_refused(office: PersonOffice) -> None:
    for url in ("", "ftp://host", "http://", "人员"):
        with pytest.raises(InputError) as refused:
            PersonClient(url, office.client, office.signer, DEPARTMENT)
        assert refused.value.code == "URL_INVALID"
    with asking(office, "http://[") as client:
        assert client.find(PERSONS[0]).sealed


def test_another_service_is_told_apart_and_the_number_sealed(office: PersonOffice) -> None:
    """The address of a node, say: it answers, and not as a person service."""
    with asking(office, office.node.url) as client:
        assert client.find(PERSONS[0]).sealed
        assert client.last_problem is not None


def test_a_request_that_the_service_cannot_read_silences_it_for_nobody_else(
    office: PersonOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(office) as client:

        def refuse(persons: object) -> None:
            raise RequestRefused("PERSONS_MALFORMED", "x", "x")

        with monkeypatch.context() as odd:
            odd.setattr(client, "commitments", refuse)
            assert client.find(normal_person("A1", "414")).sealed
        assert not client.find(normal_person("A2", "414")).sealed
