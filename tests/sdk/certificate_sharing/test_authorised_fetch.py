"""A department fetches a certificate under its holder's authorisation: what comes back, what is recorded, and what is refused."""

from __future__ import annotations

import base64
import time
from typing import Any

import httpx
import msgspec
import pytest

from contracts.authorisations import load_authorisation, load_fetch
from contracts.data_sharing.access import DENIED, SERVED
from contracts.data_sharing.sharing import load_request
from contracts.data_sharing.working_days import Calendar
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import make_identifier
from explorer.auth import Caller
from sdk.certificate_sharing.asking import fetch_certificate, send_authorisation, send_withdrawal
from sdk.certificate_sharing.exchange import request_digest
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.gateway.supply_beginning import SupplyBeginning
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.sdk.certificate_sharing.conftest import make_grant
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, judge
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import TraceVerdict
from verification.authorisations import (
    make_authorisation,
    make_withdrawal,
    verify_holder_signature,
)
from verification.certificate_files.document import encode_file
from verification.certificate_files.file_verification import Expectations, verify_annotated_copy
from verification.errors import GovnodeError, InputError

ISSUER, CONSUMER = "11990100MB0000002X", "11990100MB00000031"


def caller(sharing: Any) -> Caller:
    return Caller(sharing.consumer.address, CONSUMER, frozenset({"requester"}))


def refusal(sharing: Any, desk: Any, asked: Any) -> str:
    with pytest.raises(GovnodeError) as refused:
        desk.fetch(caller(sharing), msgspec.json.encode(asked))
    return refused.value.code


def test_a_certificate_is_fetched_and_the_ledger_has_it_before(sharing: Any, service: str) -> None:
    statement = sharing.statement(attachments=["产权证.ofd"])
    send_authorisation(service, statement)
    asked = sharing.asked(statement, file_type="ofd", holder_code="990101199001011234")
    found = fetch_certificate(service, sharing.consumer, sharing.fetcher, asked, [sharing.root])

    # What came back is the copy for this department and purpose, with the field that the holder allows and no other.
    values = {found.copy.original.core.fields[one.position].name: one.value for one in found.copy.original.fields}
    assert values == {"坐落": "示例路1号"}
    assert found.copy.annotation.recipient == "使用局"
    assert found.copy.annotation.reason == statement.purpose
    known = Expectations(sharing.node.chain.time_ms + 1_000, (sharing.root,), recipient="使用局")
    assert verify_annotated_copy(found.raw, known).code == "GENUINE"
    assert found.answer.files[1].data().startswith(b"PK")
    assert found.answer.status == "IN_FORCE"

    # What the ledger has: the fetch, and the read in the issuer's stream; both have the digest of the copy.
    state, name = sharing.node.chain.state, bytes.fromhex(statement.id)
    record, fetched = load_authorisation(state, ISSUER, name), load_fetch(state, ISSUER, name, 1)
    assert record is not None
    assert fetched is not None
    assert (record.recipient, record.fetch_count) == (CONSUMER, 1)
    assert (fetched.requester, fetched.result) == (sharing.consumer.address, sm3(found.raw))
    (read,) = sharing.reads()
    assert (read.outcome, read.sharing.consumer, read.details.result_digest) == (SERVED, CONSUMER, fetched.result)
    assert (read.number, read.details.query_digest) == (found.answer.access_number, fetched.request)


def findings(sharing: Any, grant: bytes) -> list[str]:
    """The rules that the issuer's records of fetches break under a grant, whatever the hour."""
    facts = AuditFacts(reads=sharing.reads(), grants={grant: load_request(sharing.node.chain.state, grant)})
    verdict = TraceVerdict(filter=TraceFilter(0, MAX_TIME_MS))
    # The hand-made chain's clock, by which the desk goes, is not the recorder's.
    table = RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False, dated_back_ms=MAX_TIME_MS)
    return [one.subject.rule for one in judge(facts, verdict, RuleFigures(table), Calendar()).findings]


@pytest.mark.parametrize(
    ("items", "recorded"),
    [(("证照",), ("证照",)), (("证照标识", "使用事由"), ("证照标识", "使用事由")), (("坐落", "面积"), ("坐落",))],
    ids=["the certificate", "what is said of it", "its fields"],
)
def test_an_honest_fetch_is_within_what_was_granted(
    sharing: Any, items: tuple[str, ...], recorded: tuple[str, ...]
) -> None:
    """Else every copy that is handed out would be a finding, which the issuer has to explain."""
    grant = make_grant(sharing.node, items, "307013301/000002")
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    desk.fetch(caller(sharing), msgspec.json.encode(sharing.asked(statement, grant=grant.hex())))
    (read,) = sharing.reads()
    assert (read.outcome, read.details.columns) == (SERVED, recorded)
    assert findings(sharing, grant) == []


def test_a_grant_of_fields_opens_no_others(sharing: Any) -> None:
    """Whatever the holder says: the departments were granted those fields to each other."""
    grant = make_grant(sharing.node, ("ZZBH",), "307013301/000003")
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    with pytest.raises(GovnodeError) as refused:
        desk.fetch(caller(sharing), msgspec.json.encode(sharing.asked(statement, grant=grant.hex())))
    assert (refused.value.code, "坐落" in refused.value.zh) == ("FIELDS_NOT_GRANTED", True)
    (read,) = sharing.reads()
    assert (read.outcome, read.details.refusal) == (DENIED, "FIELDS_NOT_GRANTED")
    assert findings(sharing, grant) == []


def test_the_first_copy_under_a_grant_begins_its_supply(sharing: Any) -> None:
    """Else the statutory clock of the supply would run over at a department that supplies."""
    supply = SupplyBeginning(Sharing(sharing.issuer).start_supply, retry_s=0.01)
    supply.start()
    desk, statement = sharing.desk(supply), sharing.statement()

    def supplied_ms() -> int:
        found = load_request(sharing.node.chain.state, sharing.grant)
        assert found is not None
        return found.supplied_ms

    try:
        desk.statements.authorise(encode_file(statement))
        assert refusal(sharing, desk, sharing.asked(statement, use_cause="别的用途")) != ""
        assert (supply.unsaid, supplied_ms()) == (0, 0), "nothing was handed out"
        desk.fetch(caller(sharing), msgspec.json.encode(sharing.asked(statement)))
        deadline = time.monotonic() + 45
        while not supplied_ms():
            assert time.monotonic() < deadline, "the ledger was not told"
            time.sleep(0.01)
    finally:
        supply.stop()


def test_nothing_personal_and_no_certificate_is_on_the_ledger(sharing: Any, service: str) -> None:
    before = dict(sharing.node.chain.state)
    statement = sharing.statement()
    send_authorisation(service, statement)
    fetch_certificate(service, sharing.consumer, sharing.fetcher, sharing.asked(statement), [sharing.root])
    written = b"".join(key + value for key, value in sharing.node.chain.state.items() if before.get(key) != value)
    document = sharing.document
    for planted in (
        *(value.encode() for value in document.values),
        document.core.identifier.encode(),
        document.core.identifier.split(".")[-3].encode(),
        bytes.fromhex(statement.document_digest),
        statement.purpose.encode(),
        bytes.fromhex(document.secret),
        bytes.fromhex(statement.salt),
        sharing.holder.public_key,
    ):
        assert planted not in written


def test_a_withdrawal_by_the_holder_ends_it(sharing: Any, service: str) -> None:
    statement = sharing.statement()
    send_authorisation(service, statement)
    stranger = make_withdrawal(statement, Signer(PrivateKey.generate()), sharing.node.chain.time_ms)
    with pytest.raises(RequestRefused) as refused:
        send_withdrawal(service, stranger)
    assert refused.value.code == "HOLDER_SIGNATURE_INVALID"
    fetch_certificate(service, sharing.consumer, sharing.fetcher, sharing.asked(statement), [sharing.root])
    send_withdrawal(service, make_withdrawal(statement, sharing.holder, sharing.node.chain.time_ms))
    with pytest.raises(RequestRefused) as refused:
        fetch_certificate(
            service, sharing.consumer, sharing.fetcher, sharing.asked(statement, request_id="1" * 32), [sharing.root]
        )
    assert refused.value.code == "AUTHORISATION_WITHDRAWN"
    assert [read.outcome for read in sharing.reads()] == [SERVED, DENIED]


def test_the_same_request_again_gets_the_same_answer_and_counts_once(sharing: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    desk.statements.authorise(encode_file(statement))
    body = msgspec.json.encode(sharing.asked(statement))
    first = desk.fetch(caller(sharing), body)
    again = desk.fetch(caller(sharing), body)
    assert (again.files, again.fetch_number, again.access_number) == (first.files, 1, 1)
    assert len(sharing.reads()) == 1


def test_a_fetch_cut_off_anywhere_is_finished_by_the_same_request(
    sharing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, record = sharing.issuer.call, sharing.recorder.record
    ways = [(cut, arrived) for cut in ("record_fetch", "record") for arrived in (False, True)]
    for number, (cut, arrived) in enumerate(ways):
        desk, statement = sharing.desk(), sharing.statement(number=number, max_fetches=1)
        desk.statements.authorise(encode_file(statement))
        body = msgspec.json.encode(sharing.asked(statement))

        def cut_call(contract: str, method: str, /, cut: str = cut, arrived: bool = arrived, **arguments: Any) -> Any:
            if method == cut:
                if arrived:
                    call(contract, method, **arguments)
                raise NodeUnreachable("NODE_UNREACHABLE", "断", "cut")
            return call(contract, method, **arguments)

        def cut_record(draft: Any, cut: str = cut, arrived: bool = arrived) -> Any:
            if cut == "record":
                if arrived:
                    record(draft)
                raise NodeUnreachable("NODE_UNREACHABLE", "断", "cut")
            return record(draft)

        with monkeypatch.context() as patch:
            patch.setattr(sharing.issuer, "call", cut_call)
            patch.setattr(sharing.recorder, "record", cut_record)
            with pytest.raises(NodeUnreachable):
                desk.fetch(caller(sharing), body)
        # Another process takes over, with what is on disk.
        answer = sharing.desk().fetch(caller(sharing), body)
        assert (answer.fetch_number, answer.access_number) == (1, number + 1)
        reads = sharing.reads()
        assert len(reads) == number + 1
        assert reads[-1].details.result_digest == sm3(answer.files[0].data())


REFUSED_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("PURPOSE_DIFFERS", {"use_cause": "营销"}),
    ("REQUEST_DIFFERS", {"cert_identifier": "11100000MB03271699001.11990100MB0000002X.20260000002.001.0"}),
    ("REQUEST_DIFFERS", {"holder_code": "990101199001011235"}),
    ("REQUEST_DIFFERS", {"holder_type_code": "414"}),
    ("REQUEST_DIFFERS", {"cert_type_code": "11100000MB03271699022"}),
    ("REQUEST_DIFFERS", {"cert_no": "2"}),
    ("COPY_EXPIRED", {"expiry_time": "2020-01-01"}),
    ("FILE_TYPE_NOT_SHARED", {"file_type": "ofd"}),
    ("CODE_WRONG", {"code": "12345678"}),
]


def test_a_request_that_was_not_allowed_is_refused_and_recorded(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.certificate_sharing.desk.MAX_WRONG_GUESSES", len(REFUSED_REQUESTS))
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    for place, (code, changes) in enumerate(REFUSED_REQUESTS):
        assert refusal(sharing, desk, sharing.asked(statement, **changes)) == code, changes
        body = msgspec.json.encode(sharing.asked(statement, **changes))
        assert sharing.store.fetch(request_digest(sharing.consumer.address, body)) is None
        read = sharing.reads()[place]
        assert (read.outcome, read.details.rows) == (DENIED, 0)
    record = load_authorisation(sharing.node.chain.state, ISSUER, bytes.fromhex(statement.id))
    assert record is not None
    assert record.fetch_count == 0


def test_another_department_gets_nothing(sharing: Any) -> None:
    desk = sharing.desk()
    statement = sharing.statement(recipient=ISSUER)
    desk.statements.authorise(encode_file(statement))
    assert refusal(sharing, desk, sharing.asked(statement)) == "NOT_THE_RECIPIENT"
    stranger = Caller(bytes(20), ISSUER, frozenset())
    with pytest.raises(InputError) as refused:
        desk.fetch(stranger, msgspec.json.encode(sharing.asked(statement)))
    assert refused.value.code == "NOT_A_PARTY"


def test_a_certificate_that_is_not_in_force_is_not_handed_out(sharing: Any) -> None:
    desk, statement, chain = sharing.desk(), sharing.statement(), sharing.node.chain
    desk.statements.authorise(encode_file(statement))
    named = {"identifier": sharing.document.core.identifier, "reason": "核查"}
    chain.call(chain.clerk, "certificates", "suspend", **named)
    assert refusal(sharing, desk, sharing.asked(statement)) == "SUSPENDED"
    chain.call(chain.clerk, "certificates", "revoke", status="03", **named)
    assert refusal(sharing, desk, sharing.asked(statement)) == "ENDED"


def test_an_expired_signing_certificate_is_the_issuers_fault(sharing: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    sharing.node.chain.time_ms += 20 * 365 * 86_400_000
    assert refusal(sharing, desk, sharing.asked(statement)) == "SIGNING_CERTIFICATE_EXPIRED"
    assert sharing.reads() == []


def test_a_stopped_grant_ends_fetches_too(sharing: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    chain = sharing.node.chain
    chain.call(chain.clerk, "sharing", "stop", request=sharing.grant, reason="终止")
    assert refusal(sharing, desk, sharing.asked(statement)) == "GRANT_NOT_IN_FORCE"
    assert sharing.reads()[0].outcome == DENIED


def with_code(sharing: Any, desk: Any, code: str) -> Any:
    """An authorisation that the holder gave at the issuer's counter, with a one-time code."""
    now_ms = sharing.node.chain.time_ms
    period = {"from_ms": now_ms, "to_ms": now_ms + 86_400_000}
    said = {"recipient": CONSUMER, "purpose": "办理抵押登记", "fields": ["坐落"], "attachments": []}
    return desk.statements.authorise_by_code(sharing.document.core.identifier, code, **said, **period)


def test_a_one_time_code_opens_once(sharing: Any) -> None:
    desk = sharing.desk()
    statement = with_code(sharing, desk, "24681357")
    assert refusal(sharing, desk, sharing.asked(statement)) == "CODE_WRONG"
    asked = sharing.asked(statement, code="24681357", access_token="", cert_identifier=statement.identifier)
    assert desk.fetch(caller(sharing), msgspec.json.encode(asked)).fetch_number == 1
    again = msgspec.structs.replace(asked, request_id="1" * 32)
    assert refusal(sharing, desk, again) == "AUTHORISATION_USED_UP"


def test_wrong_codes_end_a_one_time_code(sharing: Any) -> None:
    desk = sharing.desk()
    statement = with_code(sharing, desk, "24681357")
    for place in range(5):
        asked = sharing.asked(statement, code=f"{place:08}", request_id=f"{place:032}")
        assert refusal(sharing, desk, asked) == "CODE_WRONG"
    # Not even the right one, nor after a restart.
    asked = sharing.asked(statement, code="24681357")
    assert refusal(sharing, sharing.desk(), asked) == "AUTHORISATION_LOCKED"


def test_a_department_that_is_refused_too_often_is_told_to_wait(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.certificate_sharing.desk.MAX_REFUSED_PER_MINUTE", 2)
    desk, statement = sharing.desk(), sharing.statement()
    desk.statements.authorise(encode_file(statement))
    asked = sharing.asked(statement, use_cause="营销")
    codes = [refusal(sharing, desk, asked) for _ in range(3)]
    assert codes == ["PURPOSE_DIFFERS", "PURPOSE_DIFFERS", "TOO_MANY_REFUSED"]
    assert len(sharing.reads()) == 2


CHANGED_STATEMENTS: list[tuple[str, dict[str, Any]]] = [
    ("HOLDER_SIGNATURE_INVALID", {"purpose": "营销"}),
    ("HOLDER_SIGNATURE_INVALID", {"recipient": ISSUER}),
    ("HOLDER_SIGNATURE_INVALID", {"max_fetches": 3}),
    ("HOLDER_SIGNATURE_INVALID", {"fields": ("坐落", "面积")}),
    ("HOLDER_SIGNATURE_INVALID", {"salt": "ab" * 32}),
    ("HOLDER_SIGNATURE_MISSING", {"signature": ""}),
    ("AUTHORISATION_ID_WRONG", {"id": "ab" * 32}),
    ("AUTHORISATION_ID_WRONG", {"number": 1}),
    ("DOCUMENT_CHANGED", {"document_digest": "ab" * 32}),
    ("ANOTHER_NETWORK", {"genesis": "ab" * 32}),
    ("FIELD_UNKNOWN", {"fields": ("没有",)}),
    ("AUTHORISATION_MALFORMED", {"recipient": "11990100MB00000032"}),
]


def test_a_statement_that_the_holder_did_not_sign_so_is_refused(sharing: Any) -> None:
    desk, signed = sharing.desk(), sharing.statement()
    for code, changed in CHANGED_STATEMENTS:
        statement = msgspec.structs.replace(signed, **changed)
        with pytest.raises(InputError) as refused:
            desk.statements.authorise(encode_file(statement))
        assert refused.value.code == code, changed
        assert load_authorisation(sharing.node.chain.state, ISSUER, bytes.fromhex(statement.id)) is None


def test_statements_do_not_tell_which_certificates_there_are(sharing: Any) -> None:
    desk, signed = sharing.desk(), sharing.statement()
    unknown = make_identifier("11100000MB03271699001", ISSUER, "20269999999")
    texts = set()
    for identifier in (signed.identifier, unknown):
        guess = msgspec.structs.replace(signed, identifier=identifier, document_digest="ab" * 32)
        with pytest.raises(InputError) as refused:
            desk.statements.authorise(encode_file(guess))
        texts.add((refused.value.code, refused.value.en.replace(identifier, "")))
    assert len(texts) == 1


def test_a_statement_about_a_number_that_was_used_is_refused(sharing: Any) -> None:
    desk = sharing.desk()
    desk.statements.authorise(encode_file(sharing.statement()))
    with pytest.raises(InputError) as refused:
        desk.statements.authorise(encode_file(sharing.statement(purpose="另一用途")))
    assert refused.value.code == "AUTHORISATION_EXISTS"
    # What was kept is still what the ledger has.
    assert sharing.store.authorisation(bytes.fromhex(sharing.statement().id)).purpose == "办理抵押登记"


def test_a_holder_without_a_key_is_told_of_the_code(sharing: Any) -> None:
    core = msgspec.structs.replace(sharing.document.core, holder_key="")
    document = msgspec.structs.replace(sharing.document, core=core)
    said: dict[str, Any] = {
        "genesis": bytes(32),
        "number": 0,
        "recipient": CONSUMER,
        "purpose": "核验",
        "fields": [],
        "attachments": [],
    }
    statement = make_authorisation(document, **said, from_ms=1, to_ms=2, max_fetches=1, salt=bytes(32))
    with pytest.raises(InputError, match="one-time code"):
        verify_holder_signature(statement.digest, "", core.holder_key)


def test_an_answer_that_is_not_what_the_ledger_has_is_not_taken(sharing: Any, serve: Any) -> None:
    desk, statement = sharing.desk(), sharing.statement(attachments=["产权证.ofd"])
    desk.statements.authorise(encode_file(statement))
    asked = sharing.asked(statement, file_type="ofd")
    answer = desk.fetch(caller(sharing), msgspec.json.encode(asked))
    copy, attached = answer.files

    def spoilt(file: Any) -> Any:
        return msgspec.structs.replace(file, content=base64.b64encode(file.data() + b" ").decode())

    def said(**changes: Any) -> dict[str, Any]:
        return {"authorisation": msgspec.structs.replace(statement, **changes)}

    lies: list[dict[str, Any]] = [
        {"files": (spoilt(copy), attached)},
        {"files": (copy, spoilt(attached))},
        said(purpose="另一用途"),
        said(signature=""),
        said(max_fetches=3),
    ]
    told: list[dict[str, Any]] = []

    async def lie(scope: Any, receive: Any, send: Any) -> None:
        raw = msgspec.json.encode(msgspec.structs.replace(answer, **told[-1]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": raw})

    address = serve(lie)
    for one in lies:
        told.append(one)
        with pytest.raises(InputError) as refused:
            fetch_certificate(address, sharing.consumer, sharing.fetcher, asked, [sharing.root])
        assert refused.value.code == "FETCH_NOT_RECORDED", one
    told.append({})
    assert fetch_certificate(address, sharing.consumer, sharing.fetcher, asked, [sharing.root]).raw == copy.data()


def test_a_node_that_is_some_blocks_behind_the_issuers_is_waited_for(
    sharing: Any, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = sharing.statement()
    send_authorisation(service, statement)
    said = sharing.consumer.status
    told = iter([0, 1])
    monkeypatch.setattr(sharing.consumer, "status", lambda: said() | {"height": next(told, said()["height"])})
    found = fetch_certificate(service, sharing.consumer, sharing.fetcher, sharing.asked(statement), [sharing.root])
    assert next(told, None) is None
    assert found.answer.height <= said()["height"]


def test_requests_that_nobody_signed_and_bad_bodies_get_an_error(sharing: Any, service: str) -> None:
    asked = sharing.asked(sharing.statement())
    unsigned = httpx.post(
        f"{service}/certificates/fetch", content=msgspec.json.encode(asked), trust_env=False, verify=False, timeout=60
    )
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "SIGNATURE_REQUIRED")
    for body in (b"", b"{}", b"[]", b"\xff", b'{"useCause": 1}', b"{" * 1_000):
        answer = httpx.post(
            f"{service}/certificate-authorisations", content=body, trust_env=False, verify=False, timeout=60
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "AUTHORISATION_MALFORMED")
    large = httpx.post(
        f"{service}/certificates/fetch", content=bytes(100_000), trust_env=False, verify=False, timeout=60
    )
    assert large.status_code == 413
    assert httpx.get(f"{service}/", trust_env=False, verify=False, timeout=60).json()["code"] == "PATH_UNKNOWN"
    assert (
        httpx.get(f"{service}/certificates/fetch", trust_env=False, verify=False, timeout=60).json()["code"]
        == "METHOD_NOT_ALLOWED"
    )
    unknown = Signer(PrivateKey.generate())
    with pytest.raises(RequestRefused) as refused:
        fetch_certificate(service, sharing.consumer, unknown, asked, [sharing.root])
    assert refused.value.code == "ACCOUNT_UNKNOWN"


def test_a_request_has_one_digest_for_each_requester_and_body() -> None:
    assert request_digest(bytes(20), b"a") != request_digest(b"\1" * 20, b"a")
    assert request_digest(bytes(20), b"a") != request_digest(bytes(20), b"b")
