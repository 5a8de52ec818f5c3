"""Reads through a gateway by real HTTP: answered as the grant has it, recorded on both sides before the answer, receipts verified."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import msgspec
import orjson
import pytest

from contracts.accounts import AUDITOR, RECORDER
from contracts.data_sharing.access import DENIED, SERVED
from contracts.data_sharing.conditions import MASK, Conditions, Mask
from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.shown_book import ShownBook
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.gateway.body import BodyShape, cut_answer
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.gateway.read_headers import header_text
from sdk.gateway.receipts import state_read
from sdk.gateway.routes import make_route, parse_person_place
from sdk.gateway.shares import Shares
from sdk.gateway.tokens import TokenDesk
from sdk.gateway.used_reads import UsedReads
from sdk.persons.numbers import Person, PersonReference, normal_person
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.sdk.gateway.conftest import GRANT, OWNERS, GatewayOffice, add_account, own_page
from tests.sdk.gateway.grant_records import CONSUMER, PROVIDER, RESOURCE
from verification.access.reads import draft_of

CASE = Case("2026-抵-1", "抵押")


def refusal(office: GatewayOffice, target: str = "/owners/1", case: Case = CASE, **more: Any) -> str:
    with office.consumer() as consumer, pytest.raises(RequestRefused) as refused:
        consumer.read(target, case, **more)
    return refused.value.code


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_read_is_answered_and_recorded_on_both_sides(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        answer = consumer.read("/owners/1?x=%E8%AF%81", CASE)
    assert (answer.status, answer.body) == (200, office.service.body)
    provider, own = office.reads()[0], office.own_reads()[0]
    assert answer.read == state_read(provider)
    assert (provider.outcome, provider.department, provider.side) == (SERVED, PROVIDER, "provider")
    assert (own.outcome, own.department, own.side) == (SERVED, CONSUMER, "consumer")
    for read in (provider, own):
        assert (read.sharing.grant, read.sharing.resource, read.sharing.account) == (
            GRANT,
            RESOURCE,
            office.client.address,
        )
        assert (read.case.purpose, read.case.case_type, read.case.case_number) == ("办理抵押登记", "抵押", "2026-抵-1")
        assert (read.details.operation, read.details.rows) == ("GET /owners/{house}", 2)
        assert read.details.columns == tuple(OWNERS[0])
    same = ("read_id", "query_digest", "result_digest", "rows", "request_bytes", "result_bytes")
    assert [getattr(provider.details, name) for name in same] == [getattr(own.details, name) for name in same]
    # Nothing of the caller's credentials reaches the service, which is told for whom it answers.
    names = office.service.asked[0]["names"]
    assert names[b"gov-consumer"] == CONSUMER.encode()
    assert names[b"accept-encoding"] == b"identity"
    assert not {b"authorization", b"gov-nonce", b"host", b"cookie", b"user-agent"} & set(names)


def test_columns_masks_and_rows_are_the_grants(office: GatewayOffice) -> None:
    conditions = Conditions(("姓名", "电话"), (Mask("电话", MASK, 3, 4),), max_rows_per_read=2)
    office.put_grant(conditions=conditions)
    with office.consumer() as consumer:
        answer = consumer.read("/owners/1", CASE)
    assert orjson.loads(answer.body) == [
        {"姓名": "张三", "电话": "138****5678"},
        {"姓名": "李四", "电话": "139****4321"},
    ]
    assert answer.read.details.columns == ("姓名", "电话")
    # Rows are counted where the route says, so the caller does not choose another form.
    assert office.service.asked[0]["names"][b"accept"] == b"application/json"
    office.service.body = orjson.dumps(OWNERS * 2)
    assert refusal(office) == "ROWS_PER_READ_EXCEEDED"
    office.service.body = "<html>张三</html>".encode()
    assert refusal(office) == "ANSWER_NOT_JSON"
    office.service.status = 404
    assert refusal(office) == "SERVICE_REFUSED"
    assert [read.outcome for read in office.reads()] == [SERVED, DENIED, DENIED, DENIED]
    assert [read.details.refusal for read in office.own_reads()] == [
        "",
        *(r.details.refusal for r in office.reads()[1:]),
    ]


DENIED_READS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"case_types": ("查封",)}, {}, "CASE_TYPE_OUTSIDE"),
    ({}, {"case": Case("")}, "CASE_MISSING"),
    ({}, {"target": "/nothing"}, "ROUTE_UNKNOWN"),
    ({}, {"target": "/owners/1", "method": "POST"}, "ROUTE_UNKNOWN"),
    ({}, {"target": "/owners/%2e%2e"}, "PATH_MALFORMED"),
    ({"resource": "307013301/000009"}, {}, "OTHER_RESOURCE"),
    ({"from_ms": 2 * 10**12, "to_ms": 3 * 10**12}, {}, "GRANT_NOT_BEGUN"),
    ({"conditions": Conditions(place="机房")}, {}, "PLACE_OUTSIDE"),
    ({"conditions": Conditions(place="大楼")}, {}, "PLACE_NOT_CONFIGURED"),
]


def test_a_denied_read_says_why_and_is_recorded(office: GatewayOffice) -> None:
    for grant, asked, code in DENIED_READS:
        put_and_seen(office, **grant)
        assert refusal(office, **asked) == code
        read = office.reads()[-1]
        assert (read.outcome, read.details.refusal, read.details.rows) == (DENIED, code, 0)
    assert not office.service.asked
    codes = [code for _, _, code in DENIED_READS]
    assert [read.details.refusal for read in office.reads()] == codes
    assert [(read.outcome, read.details.refusal) for read in office.own_reads()] == [(DENIED, code) for code in codes]


def put_and_seen(office: GatewayOffice, **changes: Any) -> None:
    """Put a grant into the ledger, and return once the gateway has seen its block."""
    office.put_grant(**changes)
    height = office.node.chain.height
    wait_until(lambda: office.parts.book.sight.height == height)


def test_a_stop_acts_with_the_next_block(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
        office.stop_grant()
        height = office.node.chain.height
        wait_until(lambda: office.parts.book.sight.height == height)
        with pytest.raises(RequestRefused) as refused:
            consumer.read("/owners/1", CASE)
    assert refused.value.code == "GRANT_NOT_IN_FORCE"
    assert len(office.service.asked) == 1


def test_quotas_hold_with_reads_at_the_same_time_and_after_a_restart(office: GatewayOffice) -> None:
    office.put_grant(conditions=Conditions(max_reads_per_day=5, max_rows_per_day=100))

    def read(_: int) -> str:
        with office.consumer() as consumer:
            try:
                consumer.read("/owners/1", CASE)
            except RequestRefused as refused:
                return refused.code
        return ""

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(read, range(8)))
    assert sorted(codes) == [""] * 5 + ["READS_USED_UP"] * 3
    # What is in the store, or was denied, is under way no more: nobody counts it twice.
    assert office.parts.quotas._under_way == {}
    # A gateway that has just started counts what its store has; what cannot be answered is not asked of the service.
    office.parts.quotas._used.clear()
    asked = len(office.service.asked)
    assert read(0) == "READS_USED_UP"
    assert len(office.service.asked) == asked


@pytest.mark.parametrize("parties", [{"consumer": PROVIDER}, {"provider": "11990100MB00000099"}])
def test_only_the_consumers_account_gets_a_token_and_a_try_is_recorded(
    office: GatewayOffice, parties: dict[str, str]
) -> None:
    office.put_grant(**parties)
    assert refusal(office) == "NOT_THE_CONSUMER"
    [read] = office.reads()
    assert (read.outcome, read.sharing.grant, read.sharing.consumer) == (DENIED, GRANT, CONSUMER)
    assert read.details.operation == "POST /gov/token"


def test_an_account_that_may_not_read_gets_no_token(office: GatewayOffice) -> None:
    office.put_grant()
    auditor = add_account(office.node, CONSUMER, AUDITOR)
    with (
        GatewayConsumer(office.url, office.client, auditor, GRANT, "抵押系统") as consumer,
        pytest.raises(RequestRefused) as refused,
    ):
        consumer.current_token()
    assert refused.value.code == "ROLE_MISSING"
    assert office.reads() == []


def ask(office: GatewayOffice, token: str, **headers: str) -> httpx.Response:
    said = {"authorization": f"Bearer {token}", "gov-nonce": "0" * 32, "gov-case": "1"} | headers
    kept = {name: value for name, value in said.items() if value != "-"}
    return httpx.get(office.url + "/owners/1", headers=kept, trust_env=False, verify=False, timeout=60)


def test_requests_that_are_nobodys_read_are_not_recorded(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        token = consumer.current_token()
    for headers, code in (
        ({"authorization": "-"}, "TOKEN_REQUIRED"),
        ({"authorization": "Basic x"}, "TOKEN_REQUIRED"),
        ({"authorization": "Bearer x"}, "TOKEN_INVALID"),
        ({"gov-nonce": "-"}, "READ_HEADER_MALFORMED"),
        ({"gov-nonce": "0" * 31}, "READ_HEADER_MALFORMED"),
        ({"gov-case": "%ff"}, "READ_HEADER_MALFORMED"),
        ({"gov-case": header_text("案" * 65)}, "READ_HEADER_MALFORMED"),
        ({"gov-operator": "00"}, "READ_HEADER_MALFORMED"),
    ):
        answer = ask(office, token, **headers)
        assert (answer.json()["code"], answer.status_code // 100) == (code, 4)
        assert answer.headers["content-type"] == "application/problem+json"
    assert office.reads() == []
    assert ask(office, token).status_code == 200
    assert ask(office, token).json()["code"] == "READ_REPEATED"
    too_long = httpx.post(
        office.url + "/owners/query",
        content=b"x" * 101,
        headers={"authorization": f"Bearer {token}", "gov-nonce": "1" * 32, "gov-case": "1"},
        trust_env=False,
        verify=False,
        timeout=60,
    )
    assert too_long.json()["code"] == "REQUEST_TOO_LARGE"
    assert len(office.reads()) == 1


def test_what_the_service_does_wrong_lets_nothing_out(office: GatewayOffice) -> None:
    office.put_grant()
    service = office.service
    service.body = b"x" * 10_001
    assert refusal(office) == "ANSWER_TOO_LARGE"
    service.body, service.headers = b"{}", [(b"content-encoding", b"gzip")]
    assert refusal(office) == "ANSWER_ENCODED"
    service.headers = []
    for status in (500, 302, 101):
        service.status = status
        assert refusal(office) == "SERVICE_REFUSED"
    service.status, service.body = 404, b'{"message":"none"}'
    service.headers = [(b"content-type", b"application/json"), (b"set-cookie", b"x=1"), (b"server", b"secret")]
    with office.consumer() as consumer:
        answer = consumer.read("/owners/1", CASE)
    assert (answer.status, answer.body, answer.read.details.rows) == (404, service.body, 0)
    assert [read.outcome for read in office.reads()] == [DENIED] * 5 + [SERVED]


def test_answers_have_few_headers_and_are_not_kept_by_anybody(office: GatewayOffice) -> None:
    office.put_grant()
    office.service.headers += [(b"set-cookie", b"x=1"), (b"server", b"secret"), (b"cache-control", b"public")]
    with office.consumer() as consumer:
        answer = ask(office, consumer.current_token())
    own = {"gov-read-number", "gov-read-digest", "gov-receipt"}
    assert set(answer.headers) <= {"content-type", "content-length", "cache-control", "date", "server"} | own
    assert (answer.headers["cache-control"], answer.headers["gov-read-number"]) == ("no-store", "1")
    assert answer.headers["server"] == "uvicorn"


def test_what_is_cut_is_not_said_in_a_header(office: GatewayOffice) -> None:
    office.put_grant()
    office.service.headers += [
        (b"content-disposition", b"inline; filename=zhangsan.json"),
        (b"content-language", b"zh"),
    ]
    with office.consumer() as consumer:
        token = consumer.current_token()
        assert ask(office, token).headers["content-disposition"] == "inline; filename=zhangsan.json"
        office.put_grant(conditions=Conditions(("电话",)))
        height = office.node.chain.height
        wait_until(lambda: office.parts.book.sight.height == height)
        cut = ask(office, token, **{"gov-nonce": "1" * 32})
    assert not {"content-disposition", "content-language"} & set(cut.headers)
    assert (cut.status_code, cut.headers["content-type"]) == (200, "application/json")


def test_a_role_that_was_taken_away_ends_the_tokens_use(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        token = consumer.current_token()
        assert ask(office, token).status_code == 200
        book, account = office.parts.book, office.client.address
        kept = book.kept_account(account)
        assert kept is not None
        book._accounts[account] = kept._replace(roles=frozenset({AUDITOR}))
        assert ask(office, token, **{"gov-nonce": "1" * 32}).json()["code"] == "ROLE_MISSING"
    assert [read.details.refusal for read in office.reads()] == ["", "ROLE_MISSING"]


def test_a_nonce_that_comes_again_after_a_restart_is_another_read(office: GatewayOffice) -> None:
    office.put_grant()
    for _ in range(2):
        with office.consumer() as consumer:
            assert ask(office, consumer.current_token()).status_code == 200
        office.parts.tokens = TokenDesk(sm3(b"another process"))
        office.gateway._used = UsedReads(300)
    first, second = office.reads()
    assert first.details.query_digest == second.details.query_digest
    assert first.details.read_id != second.details.read_id


def test_a_receipt_that_is_too_long_for_a_header_is_asked_for(office: GatewayOffice) -> None:
    office.put_grant()
    office.service.body = orjson.dumps([{f"数据项{number}": 1 for number in range(200)}])
    with office.consumer() as consumer:
        assert "gov-receipt" not in ask(office, consumer.current_token()).headers
        answer = consumer.read("/owners/1", CASE)
    assert answer.read == state_read(office.reads()[1])
    assert len(answer.read.details.columns) == 200
    # Only who took part is told, and of what is not there nobody.
    for signer, number, status in (
        (office.signer, "2", 200),
        (add_account(office.node, PROVIDER, RECORDER), "2", 200),
        # Each costs a signature, and says what the read was.
        (Signer(office.node.chain.clerk), "2", 403),
        (office.signer, "3", 404),
        (office.signer, "9" * 19, 404),
        (office.signer, "x", 404),
    ):
        assert own_page(office, signer, f"/gov/receipts/{number}").status_code == status
    assert (
        httpx.get(office.url + "/gov/receipts/2", trust_env=False, verify=False, timeout=60).json()["code"]
        == "SIGNATURE_REQUIRED"
    )
    draft = draft_of(office.reads()[0])
    stranger = "11990100MB00000099"
    others = msgspec.structs.replace(draft.sharing, consumer=stranger, provider=stranger)
    office.parts.recorder.record(msgspec.structs.replace(draft, sharing=others))
    assert own_page(office, office.signer, "/gov/receipts/3").json()["code"] == "RECEIPT_UNKNOWN"
    noted = ShownBook(office.parts.recorder.store.path).newest(10)
    told = {(one.department, one.first_number, one.last_number, one.answers) for one in noted}
    assert told == {(PROVIDER, 2, 2, 1), (CONSUMER, 2, 2, 2)}


def test_answers_of_which_nothing_is_left_are_told_to_the_operator(
    office: GatewayOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.put_grant(conditions=Conditions(("姓名",)))
    office.service.body = orjson.dumps([{"name": "张三"}])
    with office.consumer() as consumer:
        for _ in range(2):
            assert consumer.read("/owners/1", CASE).body == b"[{}]"
    status = httpx.get(office.url + "/gov/status", trust_env=False, verify=False, timeout=60).json()
    assert status["emptied"] == ["GET /owners/{house}"]
    assert (
        "govnode_gateway_emptied_answers_total 2.0"
        in httpx.get(office.url + "/gov/metrics", trust_env=False, verify=False, timeout=60).text
    )
    assert caplog.text.count("GET /owners/{house}") == 1


def test_a_department_whose_reads_are_denied_too_often_has_to_wait(office: GatewayOffice) -> None:
    office.put_grant(case_types=("查封",))
    with office.consumer() as consumer:
        codes = []
        for _ in range(21):
            with pytest.raises(RequestRefused) as refused:
                consumer.read("/owners/1", CASE)
            codes.append(refused.value.code)
    assert codes == ["CASE_TYPE_OUTSIDE"] * 20 + ["TOO_MANY_DENIED"]
    assert len(office.reads()) == 20


class FailingSigner(Signer):
    """Signs nothing: a key whose device is away."""

    def sign(self, digest: bytes) -> bytes:
        raise OSError("no device")


def test_what_cannot_be_signed_or_kept_does_not_leave(office: GatewayOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    office.put_grant()
    receipts, store = office.parts.receipts, office.parts.recorder.store

    def full(kept: object) -> None:
        raise RecordingFailed("RECORDING_FAILED", "磁盘已满", "the disk is full")

    with office.consumer() as consumer:
        token = consumer.current_token()
        signer, receipts._signer = receipts._signer, FailingSigner(PrivateKey.generate())
        unsigned = ask(office, token)
        receipts._signer = signer
        with monkeypatch.context() as patched:
            patched.setattr(store, "keep_reads", full)
            unkept = ask(office, token, **{"gov-nonce": "1" * 32})
        assert consumer.read("/owners/1", CASE).status == 200
    assert [answer.json()["code"] for answer in (unsigned, unkept)] == ["GATEWAY_FAULT", "RECORDING_STOPPED"]
    assert not {"gov-receipt", "gov-read-number"} & (set(unsigned.headers) | set(unkept.headers))
    # The first is on disk, as a read that nobody got; of the second there is nothing.
    assert [read.number for read in office.reads()] == [1, 2]


def test_a_stop_acts_on_a_read_that_the_service_is_at_work_on(office: GatewayOffice) -> None:
    office.put_grant()
    plain = office.service

    async def stop_meanwhile(scope: Any, receive: Any, send: Any) -> None:
        office.stop_grant()
        height = office.node.chain.height
        while office.parts.book.sight.height != height:
            await asyncio.sleep(0.005)
        await plain(scope, receive, send)

    office.gateway._app = stop_meanwhile
    assert refusal(office) == "GRANT_NOT_IN_FORCE"
    assert [read.details.refusal for read in office.reads()] == ["GRANT_NOT_IN_FORCE"]


def test_a_grant_that_ends_while_the_service_is_at_work_lets_nothing_out(office: GatewayOffice) -> None:
    grant = office.put_grant(to_ms=office.node.chain.time_ms + 10_000)
    plain = office.service

    async def answer_late(scope: Any, receive: Any, send: Any) -> None:
        office.node.chain.time_ms = grant.to_ms + 1
        await plain(scope, receive, send)

    office.gateway._app = answer_late
    assert refusal(office) == "GRANT_EXPIRED"
    assert [read.details.refusal for read in office.reads()] == ["GRANT_EXPIRED"]


def test_bodies_that_do_not_come_keep_nobody_out(office: GatewayOffice) -> None:
    office.put_grant()
    limits = msgspec.structs.replace(office.parts.config.limits, reads_in_hand=1)
    office.parts.config = msgspec.structs.replace(office.parts.config, limits=limits)
    host, port = office.url.removeprefix("http://").split(":")
    with office.consumer() as consumer, socket.create_connection((host, int(port))) as waiting:
        head = f"Authorization: Bearer {consumer.current_token()}\r\nGov-Nonce: {'1' * 32}\r\nGov-Case: 1\r\n"
        waiting.sendall(f"POST /owners/query HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: 50\r\n\r\n{{".encode())
        for _ in range(3):
            assert consumer.read("/owners/1", CASE).status == 200


def test_while_a_large_answer_is_cut_others_are_answered_and_a_stop_acts(
    office: GatewayOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put_grant()
    small, large = office.service.body, orjson.dumps(OWNERS * 20)
    begun, goes_on = threading.Event(), threading.Event()

    def cut_slowly(body: bytes, *how: Any) -> Any:
        if body == large:
            begun.set()
            assert goes_on.wait(60), "nobody else is answered meanwhile"
        return cut_answer(body, *how)

    monkeypatch.setattr("sdk.gateway.gateway.CUT_AT_ONCE_BYTES", len(small))
    monkeypatch.setattr("sdk.gateway.gateway.cut_answer", cut_slowly)
    office.service.body = large
    with ThreadPoolExecutor(1) as pool:
        denied = pool.submit(refusal, office)
        assert begun.wait(60)
        office.service.body = small
        with office.consumer() as consumer:
            assert consumer.read("/owners/1", CASE).body == small
        office.stop_grant()
        height = office.node.chain.height
        wait_until(lambda: office.parts.book.sight.height == height)
        goes_on.set()
        assert denied.result(60) == "GRANT_NOT_IN_FORCE"
    assert [read.outcome for read in office.reads()] == [SERVED, DENIED]


def has_on_its_way(office: GatewayOffice, size: int) -> bool:
    return office.gateway._bodies._held[CONSUMER] == size


def test_bodies_on_their_way_are_bounded_for_one_department(office: GatewayOffice) -> None:
    office.put_grant()
    limits = msgspec.structs.replace(office.parts.config.limits, reads_in_hand=4)
    office.parts.config = msgspec.structs.replace(office.parts.config, limits=limits)
    host, port = office.url.removeprefix("http://").split(":")
    with office.consumer() as consumer, contextlib.ExitStack() as stack:
        token, waiting = consumer.current_token(), []
        for number in range(4):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            waiting.append(connection)
            head = (
                f"Authorization: Bearer {token}\r\nGov-Nonce: {number:032x}\r\nGov-Case: 1\r\nContent-Length: 100\r\n"
            )
            connection.sendall(f"POST /owners/query HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode() + b"x" * 99)
            if number < 3:
                wait_until(functools.partial(has_on_its_way, office, 99 * (number + 1)))
        # Three times 99 bytes are all that one department may have on their way; the fourth is told so.
        assert b"TOO_MANY_READS" in waiting[3].recv(4096)
        for connection in waiting[:3]:
            connection.sendall(b"x")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert consumer.read("/owners/query", CASE, method="POST", content=b"{}").status == 200
    assert not office.gateway._bodies._held
    assert not office.gateway._in_hand._held


def test_one_department_leaves_places_to_others() -> None:
    shares = Shares()
    assert [shares.take("a", 1, 8) for _ in range(7)] == [True] * 6 + [False]
    assert [shares.take("b", 1, 8) for _ in range(3)] == [True] * 2 + [False]
    shares.give_back("a", 1)
    assert shares.take("b", 1, 8)
    alone = Shares()
    assert [alone.take("a", 1, 1), alone.take("b", 1, 1)] == [True, False]


def test_a_body_that_no_service_reads_is_not_passed_on(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer, pytest.raises(RequestRefused) as refused:
        consumer.read("/owners/1", CASE, content=b"DELETE /secret/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert refused.value.code == "BODY_NOT_TAKEN"
    assert not office.service.asked
    assert [read.details.refusal for read in office.reads()] == ["BODY_NOT_TAKEN"]


def test_requests_that_are_too_large_are_counted_and_take_no_id(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        headers = {"authorization": f"Bearer {consumer.current_token()}", "gov-nonce": "2" * 32, "gov-case": "1"}
    with httpx.Client(trust_env=False, verify=False, timeout=60) as client:
        codes = [
            client.post(office.url + "/owners/query", headers=headers, content=b"x" * 101).json()["code"]
            for _ in range(21)
        ]
    assert codes == ["REQUEST_TOO_LARGE"] * 20 + ["TOO_MANY_DENIED"]


class Persons:
    """Stands for the client of the person service: knows one person."""

    def __init__(self, known: Person, reference: PersonReference) -> None:
        self._known, self._reference = known, reference

    def cached(self, person: Person) -> PersonReference | None:
        return self._reference if person == self._known else None

    def find(self, person: Person) -> PersonReference:
        raise NodeUnreachable("NODE_UNREACHABLE", "无应答", "no answer")

    def find_unasked(self, person: Person) -> PersonReference:
        return self.find(person)


def test_a_person_is_recorded_by_commitment_and_the_number_nowhere(
    office: GatewayOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.put_grant()
    number, reference = "990101199001011230", PersonReference(sm3(b"person"))
    route = make_route("GET", "/people/{number}", RESOURCE, BodyShape(), parse_person_place("path:number"))
    office.parts.routes = (route,)
    office.parts.persons = cast(Any, Persons(normal_person(number), reference))
    with office.consumer() as consumer:
        answer = consumer.read(f"/people/{number}", CASE, person=reference)
    assert {office.reads()[0].subject.person, office.own_reads()[0].subject.person} == {reference.commitment}
    assert answer.read.details.operation == "GET /people/{number}"
    assert refusal(office, "/people/990101199001011249") == "PERSONS_UNREACHABLE"
    assert refusal(office, "/people/1234") == "PERSON_MISSING"
    assert [read.subject.person for read in office.reads()[1:]] == [bytes(32)] * 2
    for path in office.folder.glob("*.sqlite*"):
        kept = path.read_bytes()
        assert all(value.encode() not in kept for value in (number, "张三", "13812345678")), path
    assert number not in caplog.text


def test_a_fault_of_the_service_in_the_same_process_lets_no_word_of_it_out(
    office: GatewayOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office.put_grant()
    office.service.headers = cast(Any, [("张三".encode(), None)])
    assert refusal(office) == "GATEWAY_FAULT"
    assert "GATEWAY_FAULT" not in [read.details.refusal for read in office.reads()]
    assert "TypeError" in caplog.text
    assert "张三" not in caplog.text


def test_status_and_metrics_tell_nothing_of_a_read(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
    status = httpx.get(office.url + "/gov/status", trust_env=False, verify=False, timeout=60).json()
    assert (status["number"], status["is_open"], status["department"]) == (1, True, PROVIDER)
    metrics = httpx.get(office.url + "/gov/metrics", trust_env=False, verify=False, timeout=60).text
    assert 'govnode_gateway_reads_total{code="",outcome="served"} 1.0' in metrics
    for secret in (GRANT.hex(), "2026-抵-1", "张三", "办理抵押登记"):
        assert secret not in metrics + orjson.dumps(status).decode()
