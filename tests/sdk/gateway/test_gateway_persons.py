"""Whose data is read through a gateway: who may have the person service asked, and that nobody is told what stands for a number."""

from __future__ import annotations

import base64
from typing import Any, cast

import httpx
import msgspec
import orjson
import pytest

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.sharing import GRANTED
from sdk.errors import RequestRefused
from sdk.gateway.body import BodyShape
from sdk.gateway.consumer import Case
from sdk.gateway.pace import MinutePace
from sdk.gateway.receipts import StatedRead, decode_receipt
from sdk.gateway.routes import make_route, parse_person_place
from sdk.persons.numbers import Person, PersonReference, normal_person, person_commitment
from sdk.request_signing import signed_headers
from tests.sdk.gateway.conftest import GatewayOffice
from tests.sdk.gateway.grant_records import RESOURCE, interval
from verification.access.reads import part_digest
from verification.errors import InputError

CASE = Case("2026-抵-1", "抵押")
KEY = b"k" * 32
SEALED = PersonReference(bytes(32), b"sealed to the authority")
ANNA, BERTA = "990101199001011230", "990101199001011249"


class CountingPersons:
    """Stands for the client of the person service, and counts what the service is asked."""

    def __init__(self) -> None:
        self.asked: list[Person] = []

    def cached(self, person: Person) -> PersonReference | None:
        return None

    def find(self, person: Person) -> PersonReference:
        self.asked.append(person)
        return commitment_to(person.code)

    def find_unasked(self, person: Person) -> PersonReference:
        return SEALED


def commitment_to(number: str) -> PersonReference:
    return PersonReference(person_commitment(KEY, normal_person(number)))


@pytest.fixture
def persons(office: GatewayOffice) -> CountingPersons:
    """The service behind a gateway whose routes name a person in each of the three places."""
    found = CountingPersons()
    office.parts.persons = cast(Any, found)
    office.parts.routes = tuple(
        make_route(method, path, RESOURCE, BodyShape(), parse_person_place(place))
        for method, path, place in (
            ("GET", "/path/{number}", "path:number"),
            ("GET", "/query", "query:id"),
            ("POST", "/query", "query:id"),
            ("POST", "/body", "body:who.id"),
        )
    )
    return found


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        ({"case_types": ("查封",)}, "CASE_TYPE_OUTSIDE"),
        ({"conditions": Conditions(place="机房")}, "PLACE_OUTSIDE"),
        ({"resource": "307013301/000009"}, "OTHER_RESOURCE"),
        ({"history": (interval(GRANTED, 1), interval("stopped", 2))}, "GRANT_NOT_IN_FORCE"),
    ],
)
def test_the_service_is_not_asked_for_a_read_that_is_denied(
    office: GatewayOffice, persons: CountingPersons, grant: dict[str, Any], code: str
) -> None:
    office.put_grant(**grant)
    with office.consumer() as consumer, pytest.raises(RequestRefused) as refused:
        consumer.read(f"/path/{ANNA}", CASE)
    assert refused.value.code == code
    assert persons.asked == []
    # Whom it was tried to read about is for the authority to open.
    assert [read.subject.sealed_person for read in office.reads()] == [SEALED.sealed]


def test_one_department_does_not_use_up_what_the_authority_gives_the_provider(
    office: GatewayOffice, persons: CountingPersons
) -> None:
    office.put_grant()
    office.parts.persons_asked = MinutePace(1)
    with office.consumer() as consumer:
        for number in (ANNA, BERTA):
            assert consumer.read(f"/path/{number}", CASE).status == 200
    assert [person.code for person in persons.asked] == [ANNA]
    # The second read goes on; whom it was about is for the authority to open.
    assert [bool(read.subject.sealed_person) for read in office.reads()] == [False, True]


def test_the_person_recorded_is_the_one_that_the_service_reads(office: GatewayOffice, persons: CountingPersons) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        content = f'{{"x":"&id={BERTA}&","who":{{"id":"{ANNA}"}}}}'.encode()
        with pytest.raises(RequestRefused) as refused:
            consumer.read(
                "/body", CASE, method="POST", content=content, content_type="application/x-www-form-urlencoded"
            )
        assert refused.value.code == "PERSON_MISSING"
        consumer.read("/body", CASE, method="POST", content=content)
        with pytest.raises(RequestRefused):
            consumer.read(
                f"/query?id={ANNA}",
                CASE,
                method="POST",
                content=f"id={BERTA}".encode(),
                content_type="application/x-www-form-urlencoded",
            )
    assert len(office.service.asked) == 1
    assert [read.subject.person for read in office.reads()] == [bytes(32), commitment_to(ANNA).commitment, bytes(32)]


def test_numbers_of_persons_are_in_no_case_system_or_column(office: GatewayOffice) -> None:
    office.put_grant()
    office.service.body = orjson.dumps({ANNA: {"姓名": "张三"}, "姓名": "李四"})
    with office.consumer() as consumer:
        assert consumer.read("/owners/1", CASE).read.details.columns == ("-", "姓名")
        token = consumer.current_token()
        for case in (Case(ANNA), Case("1", ANNA)):
            with pytest.raises(InputError) as error:
                consumer.read("/owners/1", case)
            assert error.value.code == "IDENTITY_NUMBER"
        consumer._system, consumer._token = f"系统 {ANNA}", ""
        with pytest.raises(RequestRefused) as refused:
            consumer.read("/owners/1", CASE)
        assert refused.value.code == "TOKEN_REQUEST_MALFORMED"
    for name in ("gov-case", "gov-case-type"):
        said = {"authorization": f"Bearer {token}", "gov-nonce": "0" * 32, "gov-case": "1", name: ANNA}
        answer = httpx.get(office.url + "/owners/1", headers=said, trust_env=False, verify=False, timeout=60)
        assert answer.json()["code"] == "READ_HEADER_MALFORMED"
    for path in office.folder.glob("*.sqlite*"):
        assert ANNA.encode() not in path.read_bytes()


def test_where_rows_are_limited_the_caller_does_not_choose_the_form(office: GatewayOffice) -> None:
    office.put_grant(conditions=Conditions(max_rows_per_day=10))
    with office.consumer() as consumer:
        said = {"authorization": f"Bearer {consumer.current_token()}", "gov-nonce": "0" * 32, "gov-case": "1"}
    answer = httpx.get(
        office.url + "/owners/1",
        headers=said | {"accept": "application/hal+json"},
        trust_env=False,
        verify=False,
        timeout=60,
    )
    assert answer.status_code == 200
    assert office.service.asked[0]["names"][b"accept"] == b"application/json"


def test_a_consumer_is_never_told_what_stands_for_a_number(office: GatewayOffice, persons: CountingPersons) -> None:
    office.put_grant()
    commitment = commitment_to(ANNA).commitment
    with office.consumer() as consumer:
        answer = consumer.read(f"/path/{ANNA}", CASE)
        token = consumer.current_token()
    [read] = office.reads()
    assert read.subject.person == commitment
    # The receipt is over the whole read, and has the digest of the part that is kept back.
    assert answer.read.subject == part_digest(read.subject)
    office.stop_grant()
    said = {"authorization": f"Bearer {token}", "gov-nonce": "0" * 32, "gov-case": "1"}
    denied = httpx.get(f"{office.url}/path/{BERTA}", headers=said, trust_env=False, verify=False, timeout=60)
    signed = signed_headers(
        office.signer,
        office.node.chain.genesis.chain_id,
        "GET",
        office.url.removeprefix("http://"),
        b"/gov/records",
        b"",
    )
    kept = httpx.get(office.url + "/gov/records", headers=signed, trust_env=False, verify=False, timeout=60).json()[
        "reads"
    ]
    shown = [msgspec.msgpack.decode(base64.b64decode(one), type=StatedRead) for one in kept]
    assert [one.subject for one in shown] == [part_digest(one.subject) for one in office.reads()]
    told = msgspec.msgpack.encode(decode_receipt(denied.headers["gov-receipt"])) + b"".join(map(base64.b64decode, kept))
    for number in (ANNA, BERTA):
        assert commitment_to(number).commitment not in told
    assert read.subject.salt not in told
