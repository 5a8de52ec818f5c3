"""Certificates: registering types, issuing, the status at a time, renewal, code tables, and everything that is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts import certificate_records, code_tables, registry
from contracts.certificate_records import VERDICTS, CertificateRecord
from contracts.certificate_types import load_type
from contracts.fields import MAX_TIME_MS, MIN_TIME_MS
from contracts.parameters import LEAST_GAS
from contracts.refusals import Refused
from sm_crypto.sm3 import sm3

OTHER_TYPE = "11100000MB03271699022"


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with one type registered, which the land bureau issues."""
    bench.register_type()
    return bench


def record_of(office: Any, identifier: str) -> CertificateRecord:
    found: CertificateRecord = office.view("certificates", "certificate", identifier=identifier)
    return found


def test_a_type_is_registered_with_its_issuers(bench: Any) -> None:
    bench.register_type(issuers=[bench.land_bureau, bench.tax_bureau])
    found = bench.view("certificates", "certificate_type", code=bench.type_arguments()["code"])
    assert (found.name, found.code_table, found.registered_ms) == ("不动产权证书", "default", bench.time_ms)
    for department, expected in ((bench.land_bureau, True), (bench.tax_bureau, True), (bench.data_bureau, False)):
        assert bench.view("certificates", "is_issuer", type_code=found.code, department=department) is expected
    bench.refuse("TYPE_EXISTS", bench.governor, "certificates", "register_type", **bench.type_arguments())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "11100000MB0327169900"}, "TYPE_CODE_MALFORMED"),
        ({"code": "11100000MB03271698001"}, "USCC_CHECK_CHARACTER"),
        ({"name": " "}, "TEXT_CONTROL_CHARACTER"),
        ({"defining_level": "国家级"}, "VALUE_UNKNOWN"),
        ({"holder_category": "cat"}, "VALUE_UNKNOWN"),
        ({"certificate_class": "paper"}, "VALUE_UNKNOWN"),
        ({"code_table": "none"}, "CODE_TABLE_UNKNOWN"),
        ({"code_table": "n" * 5_000}, "CODE_TABLE_UNKNOWN"),
        ({"issuers": ["X"]}, "DEPARTMENT_UNKNOWN"),
        ({"issuers": ["X", "X"]}, "LIST_REPEATS"),
    ],
)
def test_faulty_types_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    bench.refuse(code, bench.governor, "certificates", "register_type", **bench.type_arguments(**changes))


def test_only_a_governor_registers_types_and_issuers(bench: Any) -> None:
    for account in (bench.issuer, bench.administrator, bench.auditor):
        bench.refuse("ROLE_MISSING", account, "certificates", "register_type", **bench.type_arguments())


def test_a_right_to_issue_is_given_and_taken(office: Any) -> None:
    right = {"type_code": office.type_arguments()["code"], "department": office.tax_bureau}
    arguments = office.certificate_arguments("77", identifier=office.identifier("77", issuer=office.tax_bureau))
    office.refuse("ISSUER_NOT_AUTHORISED", office.other_issuer, "certificates", "issue", **arguments)
    office.accept(office.governor, "certificates", "allow_issuer", **right)
    office.refuse("ISSUER_ALREADY_AUTHORISED", office.governor, "certificates", "allow_issuer", **right)
    office.accept(office.other_issuer, "certificates", "issue", **arguments)
    office.accept(office.governor, "certificates", "withdraw_issuer", **right)
    office.refuse("ISSUER_NOT_AUTHORISED", office.governor, "certificates", "withdraw_issuer", **right)
    later = office.certificate_arguments("78", identifier=office.identifier("78", issuer=office.tax_bureau))
    office.refuse("ISSUER_NOT_AUTHORISED", office.other_issuer, "certificates", "issue", **later)
    # What it issued stays its own to suspend.
    office.accept(office.other_issuer, "certificates", "suspend", identifier=arguments["identifier"], reason="核查")


def test_issue_writes_one_record_and_one_log(office: Any) -> None:
    before = dict(office.state)
    arguments = office.certificate_arguments()
    result = office.accept(office.issuer, "certificates", "issue", **arguments)
    changed = {key for key in office.state if office.state[key] != before.get(key)}
    assert changed == {certificate_records.certificate_key(arguments["identifier"])}
    record = record_of(office, arguments["identifier"])
    assert msgspec.structs.asdict(record) | arguments == msgspec.structs.asdict(record)
    assert (record.issuer, record.type_code, record.status) == (
        office.land_bureau,
        office.type_arguments()["code"],
        "01",
    )
    assert (record.issued_ms, record.predecessor, record.successor) == (office.time_ms, "", "")
    assert record.history[0].operator == office.issuer.address
    log = registry.decode_log(result.logs[0])
    assert (log.event, log.fields["identifier"]) == ("CertificateIssued", arguments["identifier"])
    assert result.logs[0].topics[1] == arguments["document_digest"]


def test_an_identifier_without_its_root_names_the_same_certificate(office: Any) -> None:
    identifier = office.issue()
    short = identifier.removeprefix("1.2.156.3005.2.")
    assert record_of(office, short) == record_of(office, identifier)
    assert certificate_records.certificate_key(short) == certificate_records.certificate_key(identifier)
    again = office.certificate_arguments(identifier=short)
    office.refuse("CERTIFICATE_EXISTS", office.issuer, "certificates", "issue", **again)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"identifier": "no identifier"}, "IDENTIFIER_MALFORMED"),
        ({"document_digest": bytes(32)}, "DIGEST_ZERO"),
        ({"holder_commitment": bytes(32)}, "DIGEST_ZERO"),
        ({"valid_from_ms": MIN_TIME_MS - 1}, "DATE_OUT_OF_RANGE"),
        ({"valid_to_ms": MAX_TIME_MS + 1}, "DATE_OUT_OF_RANGE"),
        ({"valid_to_ms": 2**63 - 1}, "DATE_OUT_OF_RANGE"),
        ({"valid_from_ms": 2_000, "valid_to_ms": 2_000}, "DATES_REVERSED"),
        ({"valid_from_ms": 2_000, "valid_to_ms": 1_999}, "DATES_REVERSED"),
    ],
)
def test_faulty_certificates_are_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    office.refuse(code, office.issuer, "certificates", "issue", **office.certificate_arguments(**changes))


def test_a_wrong_check_character_on_a_new_identifier_is_refused_with_the_right_one(office: Any) -> None:
    identifier = office.identifier("20250001")
    wrong = identifier[:-1] + ("A" if identifier[-1] != "A" else "B")
    arguments = office.certificate_arguments(identifier=wrong)
    text = office.refuse("CHECK_CHARACTER_MISMATCH", office.issuer, "certificates", "issue", **arguments)
    assert f"must be {identifier[-1]}" in text


def test_only_the_named_issuer_with_the_role_issues(office: Any) -> None:
    arguments = office.certificate_arguments()
    office.refuse("ISSUER_MISMATCH", office.other_issuer, "certificates", "issue", **arguments)
    office.refuse("ROLE_MISSING", office.publisher, "certificates", "issue", **arguments)
    office.refuse("UNKNOWN_ACCOUNT", office.stranger, "certificates", "issue", **arguments)
    unknown = office.certificate_arguments(identifier=office.identifier("1", OTHER_TYPE))
    office.refuse("TYPE_NOT_REGISTERED", office.issuer, "certificates", "issue", **unknown)


def test_an_existing_identifier_is_refused(office: Any) -> None:
    office.issue()
    office.refuse("CERTIFICATE_EXISTS", office.issuer, "certificates", "issue", **office.certificate_arguments())


def test_suspension_revocation_and_what_was_valid_when(office: Any) -> None:
    identifier = office.issue()
    issued = office.time_ms
    office.accept(office.issuer, "certificates", "suspend", identifier=identifier, reason="举报核查")
    suspended = office.time_ms
    office.accept(office.issuer, "certificates", "resume", identifier=identifier, reason="核查无误")
    resumed = office.time_ms
    office.accept(office.issuer, "certificates", "revoke", identifier=identifier, status="03", reason="材料虚假")
    revoked = office.time_ms
    for time_ms, verdict, status, reason in (
        (issued - 1, "NOT_YET_ISSUED", "", ""),
        (issued, "IN_FORCE", "01", ""),
        (suspended - 1, "IN_FORCE", "01", ""),
        (suspended, "SUSPENDED", "02", "举报核查"),
        (resumed - 1, "SUSPENDED", "02", "举报核查"),
        (resumed, "IN_FORCE", "01", "核查无误"),
        (revoked, "ENDED", "03", "材料虚假"),
        (MAX_TIME_MS, "ENDED", "03", "材料虚假"),
    ):
        found = office.view("certificates", "certificate_status", identifier=identifier, time_ms=time_ms)
        assert (found.verdict, found.status, found.reason) == (verdict, status, reason)
        assert found.is_valid is (verdict == "IN_FORCE")


def test_validity_period_is_judged_at_the_time_asked_for(office: Any) -> None:
    start, end = office.time_ms + 100_000, office.time_ms + 200_000
    identifier = office.issue(valid_from_ms=start, valid_to_ms=end)
    record = record_of(office, identifier)
    assert certificate_records.status_at(record, start - 1).verdict == "NOT_YET_VALID"
    assert certificate_records.status_at(record, start).verdict == "IN_FORCE"
    assert certificate_records.status_at(record, end).verdict == "IN_FORCE"
    expired = certificate_records.status_at(record, end + 1)
    assert (expired.verdict, expired.since_ms, expired.is_valid) == ("EXPIRED", end, False)


def test_a_certificate_without_end_does_not_expire(office: Any) -> None:
    record = record_of(office, office.issue(valid_to_ms=MAX_TIME_MS))
    assert certificate_records.status_at(record, MAX_TIME_MS + 1).verdict == "IN_FORCE"


def test_validity_may_begin_before_1970(office: Any) -> None:
    record = record_of(office, office.issue(valid_from_ms=-86_400_000))
    assert record.valid_from_ms == -86_400_000


@pytest.mark.parametrize(
    ("steps", "method", "arguments", "code"),
    [
        ([], "resume", {}, "STATUS_FORBIDS"),
        (["suspend"], "suspend", {}, "STATUS_FORBIDS"),
        (["revoke"], "suspend", {}, "STATUS_FORBIDS"),
        (["revoke"], "resume", {}, "STATUS_FORBIDS"),
        (["revoke"], "revoke", {"status": "04"}, "STATUS_FORBIDS"),
        ([], "revoke", {"status": "01"}, "STATUS_NOT_REACHABLE"),
        ([], "revoke", {"status": "55"}, "STATUS_NOT_REACHABLE"),
        ([], "suspend", {"reason": ""}, "TEXT_EMPTY"),
        ([], "suspend", {"reason": "长" * 201}, "TEXT_TOO_LONG"),
        ([], "suspend", {"identifier": "x"}, "IDENTIFIER_MALFORMED"),
    ],
)
def test_forbidden_changes_of_status(
    office: Any, steps: list[str], method: str, arguments: dict[str, str], code: str
) -> None:
    identifier = office.issue()
    for step in steps:
        given = {"status": "03"} if step == "revoke" else {}
        office.accept(office.issuer, "certificates", step, identifier=identifier, reason="理由", **given)
    given = {"identifier": identifier, "reason": "理由"} | ({"status": "03"} if method == "revoke" else {}) | arguments
    office.refuse(code, office.issuer, "certificates", method, **given)


def test_only_the_issuing_department_changes_a_certificate(office: Any) -> None:
    identifier = office.issue()
    for method, extra in (("suspend", {}), ("resume", {}), ("revoke", {"status": "03"})):
        given = {"identifier": identifier, "reason": "x"} | extra
        office.refuse("OTHER_DEPARTMENT", office.other_issuer, "certificates", method, **given)
        office.refuse("ROLE_MISSING", office.approver, "certificates", method, **given)
    unknown = office.identifier("404")
    office.refuse("CERTIFICATE_UNKNOWN", office.issuer, "certificates", "suspend", identifier=unknown, reason="x")


def test_renewal_links_both_ways_and_ends_the_earlier(office: Any) -> None:
    first = office.issue("1")
    office.accept(
        office.issuer, "certificates", "renew", predecessor=first, reason="延续", **office.certificate_arguments("2")
    )
    second = office.identifier("2")
    old, new = record_of(office, first), record_of(office, second)
    assert (old.successor, new.predecessor) == (second, first)
    assert (old.status, new.status, new.history[0].operation) == ("05", "01", "02")
    found = certificate_records.status_at(old, office.time_ms)
    assert (found.verdict, found.successor, found.is_valid) == ("SUPERSEDED", second, False)
    assert certificate_records.status_at(old, office.time_ms - 1).verdict == "IN_FORCE"
    again = {"predecessor": first, "reason": "延续", **office.certificate_arguments("3")}
    office.refuse("ALREADY_SUCCEEDED", office.issuer, "certificates", "renew", **again)


def test_renewal_is_refused_where_it_makes_no_sense(office: Any) -> None:
    office.register_type(code=OTHER_TYPE)
    first = office.issue("1")
    second = {"reason": "延续", **office.certificate_arguments("2")}
    other = second | {"identifier": office.identifier("2", OTHER_TYPE)}
    office.refuse("TYPE_DIFFERS", office.issuer, "certificates", "renew", predecessor=first, **other)
    itself = second | {"identifier": first}
    office.refuse("CERTIFICATE_EXISTS", office.issuer, "certificates", "renew", predecessor=first, **itself)
    unknown = office.identifier("9")
    office.refuse("CERTIFICATE_UNKNOWN", office.issuer, "certificates", "renew", predecessor=unknown, **second)
    office.refuse("OTHER_DEPARTMENT", office.other_issuer, "certificates", "renew", predecessor=first, **second)
    office.accept(office.issuer, "certificates", "revoke", identifier=first, status="07", reason="处罚")
    office.refuse("STATUS_FORBIDS", office.issuer, "certificates", "renew", predecessor=first, **second)


def table_arguments(table: code_tables.CodeTable, name: str = "transport") -> dict[str, Any]:
    statuses = [list(msgspec.structs.astuple(status)) for status in table.statuses]
    operations = [list(msgspec.structs.astuple(operation)) for operation in table.operations]
    return {"name": name, "statuses": statuses, "operations": operations}


def test_a_sector_has_its_own_codes(office: Any) -> None:
    table = code_tables.CodeTable(
        (
            code_tables.StatusCode("A", "正常", "normal", code_tables.IN_FORCE),
            code_tables.StatusCode("Z", "作废", "void", code_tables.ENDED),
        ),
        (
            code_tables.OperationCode("N", "发证", "new", code_tables.NEW, (), ("A",), ""),
            code_tables.OperationCode("X", "作废", "void", code_tables.END, ("A",), ("Z",), ""),
        ),
    )
    office.refuse("ROLE_MISSING", office.issuer, "certificates", "set_code_table", **table_arguments(table))
    office.accept(office.governor, "certificates", "set_code_table", **table_arguments(table))
    assert office.view("certificates", "code_table", name="transport") == table
    office.register_type(code=OTHER_TYPE, code_table="transport")
    identifier = office.issue("1", identifier=office.identifier("1", OTHER_TYPE))
    assert record_of(office, identifier).status == "A"
    no_suspension = {"identifier": identifier, "reason": "x"}
    office.refuse("OPERATION_NOT_IN_TABLE", office.issuer, "certificates", "suspend", **no_suspension)
    office.accept(office.issuer, "certificates", "revoke", identifier=identifier, status="Z", reason="作废")
    assert certificate_records.status_at(record_of(office, identifier), office.time_ms).verdict == "ENDED"


def test_a_changed_table_keeps_what_records_rely_on(office: Any) -> None:
    default = code_tables.DEFAULT_CODES
    added = code_tables.StatusCode("08", "存疑", "in doubt", code_tables.HELD)
    longer = msgspec.structs.replace(default, statuses=(*default.statuses, added))
    office.accept(office.governor, "certificates", "set_code_table", **table_arguments(longer, "default"))
    shorter = table_arguments(default, "default")
    office.refuse("CODE_TABLE_INVALID", office.governor, "certificates", "set_code_table", **shorter)
    revived = msgspec.structs.replace(default.statuses[2], effect=code_tables.IN_FORCE)
    turned = msgspec.structs.replace(longer, statuses=(*default.statuses[:2], revived, *longer.statuses[3:]))
    office.refuse(
        "CODE_TABLE_INVALID", office.governor, "certificates", "set_code_table", **table_arguments(turned, "default")
    )


@pytest.mark.parametrize(
    "fault", ["no new", "unknown action", "action twice", "unknown status", "effect", "code twice", "empty"]
)
def test_unusable_tables_are_refused(office: Any, fault: str) -> None:
    default = code_tables.DEFAULT_CODES
    statuses, operations = list(default.statuses), list(default.operations)
    replace = msgspec.structs.replace
    match fault:
        case "no new":
            operations = operations[1:]
        case "unknown action":
            operations[2] = replace(operations[2], action="dance")
        case "action twice":
            operations[2] = replace(operations[2], action=code_tables.END)
        case "unknown status":
            operations[2] = replace(operations[2], to_statuses=("77",))
        case "effect":
            statuses[0] = replace(statuses[0], effect=9)
        case "code twice":
            statuses[1] = replace(statuses[1], code="01")
        case "empty":
            statuses = []
    table = code_tables.CodeTable(tuple(statuses), tuple(operations))
    office.refuse("CODE_TABLE_INVALID", office.governor, "certificates", "set_code_table", **table_arguments(table))


def test_the_default_table_is_usable_and_starts_in_force() -> None:
    code_tables.verify_code_table(code_tables.DEFAULT_CODES, code_tables.DEFAULT_CODES)
    assert code_tables.DEFAULT_CODES.effect(code_tables.DEFAULT_CODES.operation(code_tables.NEW).to_statuses[0]) == 1


def test_nothing_personal_is_in_state(office: Any) -> None:
    commitment = sm3(b"a key" + "李示例 999999199001010011".encode())
    office.issue(holder_commitment=commitment)
    stored = b"".join(office.state.values())
    assert commitment in stored
    assert "李示例".encode() not in stored


def test_readers_of_one_certificate(office: Any) -> None:
    identifier = office.issue()
    assert certificate_records.load_certificate(office.state, identifier) == record_of(office, identifier)
    assert certificate_records.load_certificate(office.state, office.identifier("404")) is None
    assert load_type(office.state, "none") is None
    raw = office.state[certificate_records.certificate_key(identifier)]
    assert certificate_records.CERTIFICATES.decode(raw) == record_of(office, identifier)
    with pytest.raises(Refused, match="IDENTIFIER_MALFORMED"):
        certificate_records.certificate_key("x")


def test_verdicts_have_texts_in_both_languages() -> None:
    assert all(chinese and english.isascii() for chinese, english in VERDICTS.values())


def test_a_contract_asks_whether_a_certificate_is_in_force_now(office: Any) -> None:
    def is_in_force(name: str) -> bool:
        found: bool = office.view("certificates", "is_in_force", identifier=name)
        return found

    end = office.time_ms + 86_400_000
    identifier = office.issue(valid_to_ms=end)
    assert is_in_force(identifier)
    assert is_in_force(identifier.removeprefix("1.2.156.3005.2."))
    office.accept(office.issuer, "certificates", "suspend", identifier=identifier, reason="核查")
    assert not is_in_force(identifier)
    office.accept(office.issuer, "certificates", "resume", identifier=identifier, reason="核查完毕")
    assert is_in_force(identifier)
    office.time_ms = end
    assert is_in_force(identifier)
    office.time_ms += 1
    assert not is_in_force(identifier)
    assert not is_in_force(office.identifier("20259999"))
    # As with any other text that names nothing on the ledger.
    assert not is_in_force("none")
    assert not is_in_force("")
    with pytest.raises(Refused, match="IDENTIFIER_MALFORMED"):
        office.view("certificates", "certificate", identifier="none")


def change_often(office: Any, identifier: str, count: int, reason: str = "x", step_ms: int = 1_000) -> list[int]:
    """Suspend and resume a certificate by turns and return the times."""
    times = []
    for turn in range(count):
        method = "resume" if turn % 2 else "suspend"
        assert office.call(office.issuer, "certificates", method, identifier=identifier, reason=reason).refusal is None
        times.append(office.time_ms)
        office.time_ms += step_ms
    return times


def test_no_number_of_changes_is_too_many_and_all_are_kept(office: Any) -> None:
    identifier = office.issue()
    issued_ms = office.time_ms
    office.time_ms += 1_000
    times = change_often(office, identifier, 300)
    record = record_of(office, identifier)
    assert record.page_count > 1
    assert (record.issued_ms, record.status) == (issued_ms, "01")
    expected = ["01", *("01" if turn % 2 else "02" for turn in range(300))]
    for time_ms, status in zip([issued_ms, *times], expected, strict=True):
        found = office.view("certificates", "certificate_status", identifier=identifier, time_ms=time_ms)
        assert (found.status, found.since_ms) == (status, time_ms)
        later = office.view("certificates", "certificate_status", identifier=identifier, time_ms=time_ms + 999)
        assert later == found
    pages = [
        office.view("certificates", "history_page", identifier=identifier, number=number)
        for number in range(record.page_count)
    ]
    kept = [interval.from_ms for page in pages for interval in page.intervals]
    assert [*kept, *(interval.from_ms for interval in record.history)] == [issued_ms, *times]
    for number, page in enumerate(pages):
        assert certificate_records.history_page_key(identifier, number) in office.state
        assert certificate_records.status_at(record, page.until_ms - 1, page).since_ms == page.intervals[-1].from_ms
    with pytest.raises(Refused, match="HISTORY_PAGE_UNKNOWN"):
        office.view("certificates", "history_page", identifier=identifier, number=record.page_count)


def test_another_page_does_not_answer_for_a_time(office: Any) -> None:
    identifier = office.issue()
    office.time_ms += 1_000
    change_often(office, identifier, 120)
    record = record_of(office, identifier)
    first, second = (
        office.view("certificates", "history_page", identifier=identifier, number=number) for number in (0, 1)
    )
    foreign = msgspec.structs.replace(first, identifier=office.identifier("2"))
    for page in (None, second, foreign):
        with pytest.raises(certificate_records.HistoryPageNeeded):
            certificate_records.status_at(record, record.issued_ms, page)
    assert certificate_records.status_at(record, record.issued_ms, first).is_valid


def test_changes_of_one_moment_fill_pages_too(office: Any) -> None:
    identifier = office.issue()
    issued_ms = office.time_ms
    office.time_ms += 1
    change_often(office, identifier, 200, step_ms=0)
    for time_ms, status in ((issued_ms, "01"), (office.time_ms, "01")):
        found = office.view("certificates", "certificate_status", identifier=identifier, time_ms=time_ms)
        assert found.status == status


def test_the_longest_history_fits_the_least_gas(office: Any) -> None:
    identifier = office.issue()
    change_often(office, identifier, certificate_records.MAX_RECORD_INTERVALS - 1, "𠮷" * 200)
    last = {"identifier": identifier, "reason": "𠮷" * 200}
    assert office.accept(office.issuer, "certificates", "resume", **last).gas_used < LEAST_GAS // 3


def test_a_change_puts_another_certificate_in_place(office: Any) -> None:
    first, changed = office.issue("1"), office.certificate_arguments("2")
    office.accept(office.issuer, "certificates", "change", predecessor=first, reason="权利人姓名变更", **changed)
    old, new = record_of(office, first), record_of(office, office.identifier("2"))
    assert (old.successor, new.predecessor, new.history[0].operation) == (new.identifier, first, "09")
    assert certificate_records.status_at(old, office.time_ms).verdict == "SUPERSEDED"


def test_a_certificate_lapses_only_once_its_validity_is_over(office: Any) -> None:
    end = office.time_ms + 60_000
    identifier = office.issue(valid_to_ms=end)
    lapse = {"identifier": identifier, "reason": "有效期届满"}
    office.time_ms = end
    office.refuse("NOT_EXPIRED", office.issuer, "certificates", "expire", **lapse)
    office.accept(office.issuer, "certificates", "expire", **lapse)
    assert (record_of(office, identifier).status, record_of(office, identifier).history[-1].operation) == ("05", "04")
    forever = office.issue("2", valid_to_ms=MAX_TIME_MS)
    office.refuse("NOT_EXPIRED", office.issuer, "certificates", "expire", identifier=forever, reason="x")


def test_what_no_operation_covers_is_described(office: Any) -> None:
    identifier = office.issue()
    office.refuse("TEXT_EMPTY", office.issuer, "certificates", "record_other", identifier=identifier, description="")
    said = {"identifier": identifier, "description": "权属争议，诉讼中"}
    office.accept(office.issuer, "certificates", "record_other", **said)
    found = certificate_records.status_at(record_of(office, identifier), office.time_ms)
    assert (found.verdict, found.status, found.reason) == ("SUSPENDED", "99", "权属争议，诉讼中")
    office.accept(office.issuer, "certificates", "resume", identifier=identifier, reason="诉讼终结")
    assert office.view("certificates", "is_in_force", identifier=identifier)


@pytest.fixture
def two_issuers(bench: Any) -> Any:
    bench.register_type(issuers=[bench.land_bureau, bench.tax_bureau])
    return bench


def test_a_certificate_moves_to_the_department_it_is_offered_to(two_issuers: Any) -> None:
    office, first = two_issuers, two_issuers.issue("1")
    taken = {"predecessor": first, "reason": "转入"} | office.certificate_arguments(
        "9", identifier=office.identifier("9", issuer=office.tax_bureau)
    )
    offer = {"identifier": first, "reason": "住所迁移"}
    office.refuse("NOT_OFFERED", office.other_issuer, "certificates", "transfer_in", **taken)
    for recipient, code in ((office.land_bureau, "TRANSFER_TO_ITSELF"), ("X", "DEPARTMENT_UNKNOWN")):
        office.refuse(code, office.issuer, "certificates", "transfer_out", recipient=recipient, **offer)
    office.accept(office.issuer, "certificates", "transfer_out", recipient=office.data_bureau, **offer)
    office.refuse("NOT_OFFERED", office.other_issuer, "certificates", "transfer_in", **taken)
    office.accept(office.issuer, "certificates", "cancel_transfer", identifier=first, reason="转出对象有误")
    assert record_of(office, first).recipient == ""
    assert office.view("certificates", "is_in_force", identifier=first)
    offered = office.accept(office.issuer, "certificates", "transfer_out", recipient=office.tax_bureau, **offer)
    assert registry.decode_log(offered.logs[-1]).fields == {"identifier": first, "recipient": office.tax_bureau}
    assert record_of(office, first).recipient == office.tax_bureau
    assert certificate_records.status_at(record_of(office, first), office.time_ms).verdict == "SUSPENDED"
    office.refuse("OTHER_DEPARTMENT", office.other_issuer, "certificates", "cancel_transfer", **offer)
    office.accept(office.other_issuer, "certificates", "transfer_in", **taken)
    old, new = record_of(office, first), record_of(office, taken["identifier"])
    assert (old.successor, old.recipient, new.predecessor) == (new.identifier, "", first)
    assert (new.issuer, new.history[0].operation) == (office.tax_bureau, "08")
    assert certificate_records.status_at(old, office.time_ms).verdict == "SUPERSEDED"
    office.refuse("NOT_OFFERED", office.other_issuer, "certificates", "transfer_in", **taken)
    office.refuse("STATUS_FORBIDS", office.issuer, "certificates", "cancel_transfer", **offer)


@pytest.mark.parametrize(
    ("method", "said", "status"), [("suspend", "reason", "02"), ("record_other", "description", "99")]
)
def test_a_cancelled_transfer_lifts_no_suspension(two_issuers: Any, method: str, said: str, status: str) -> None:
    office, identifier = two_issuers, two_issuers.issue("1")
    office.accept(office.issuer, "certificates", method, identifier=identifier, **{said: "权属争议"})
    offer = {"identifier": identifier, "recipient": office.tax_bureau, "reason": "住所迁移"}
    office.accept(office.issuer, "certificates", "transfer_out", **offer)
    office.accept(office.issuer, "certificates", "cancel_transfer", identifier=identifier, reason="转出对象有误")
    record = record_of(office, identifier)
    assert (record.status, record.recipient) == (status, "")
    assert not office.view("certificates", "is_in_force", identifier=identifier)


def test_a_table_leads_a_cancelled_transfer_back_to_every_status_it_can_begin_in(office: Any) -> None:
    operations = [
        msgspec.structs.replace(one, to_statuses=("01", "02")) if one.action == code_tables.CANCEL_TRANSFER else one
        for one in code_tables.DEFAULT_CODES.operations
    ]
    table = {"name": "two", "statuses": list(code_tables.DEFAULT_CODES.statuses)}
    office.refuse(
        "CODE_TABLE_INVALID", office.governor, "certificates", "set_code_table", operations=operations, **table
    )
    without = [one for one in operations if one.action != code_tables.CANCEL_TRANSFER]
    office.accept(office.governor, "certificates", "set_code_table", operations=without, **table)


def test_a_transfer_needs_the_right_to_issue_and_the_same_type(two_issuers: Any) -> None:
    office, first = two_issuers, two_issuers.issue("1")
    right = {"type_code": office.type_arguments()["code"], "department": office.tax_bureau}
    office.accept(office.governor, "certificates", "withdraw_issuer", **right)
    office.register_type(code=OTHER_TYPE, issuers=[office.tax_bureau])
    office.accept(
        office.issuer, "certificates", "transfer_out", identifier=first, recipient=office.tax_bureau, reason="x"
    )
    for type_code, code in ((right["type_code"], "ISSUER_NOT_AUTHORISED"), (OTHER_TYPE, "TYPE_DIFFERS")):
        identifier = office.identifier("9", type_code, office.tax_bureau)
        taken = {"predecessor": first, "reason": "x"} | office.certificate_arguments(identifier=identifier)
        office.refuse(code, office.other_issuer, "certificates", "transfer_in", **taken)


def test_whatever_ends_a_transfer_ends_the_offer(office: Any) -> None:
    """A table may let another operation than the cancellation lead out of a transfer."""
    default = code_tables.DEFAULT_CODES
    operations = tuple(
        msgspec.structs.replace(one, from_statuses=("02", "06")) if one.action == code_tables.RESUME else one
        for one in default.operations
    )
    table = msgspec.structs.replace(default, operations=operations)
    office.accept(office.governor, "certificates", "set_code_table", **table_arguments(table))
    office.register_type(code=OTHER_TYPE, code_table="transport")
    identifier = office.issue("1", identifier=office.identifier("1", OTHER_TYPE))
    offer = {"identifier": identifier, "recipient": office.tax_bureau, "reason": "x"}
    office.accept(office.issuer, "certificates", "transfer_out", **offer)
    office.accept(office.issuer, "certificates", "resume", identifier=identifier, reason="x")
    assert record_of(office, identifier).recipient == ""


def test_a_table_without_transfers_has_none(office: Any) -> None:
    default = code_tables.DEFAULT_CODES
    operations = tuple(one for one in default.operations if one.action != code_tables.TRANSFER_IN)
    table = msgspec.structs.replace(default, operations=operations)
    office.accept(office.governor, "certificates", "set_code_table", **table_arguments(table))
    office.register_type(code=OTHER_TYPE, code_table="transport")
    identifier = office.issue("1", identifier=office.identifier("1", OTHER_TYPE))
    offer = {"identifier": identifier, "recipient": office.tax_bureau, "reason": "x"}
    office.refuse("OPERATION_NOT_IN_TABLE", office.issuer, "certificates", "transfer_out", **offer)
