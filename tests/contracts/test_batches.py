"""Certificates in batches: issuing by a root, what a leaf is worth, records of their own, renewals, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.batches import (
    MAX_BATCH_COUNT,
    batch_key,
    leaf_hash,
    load_batch,
    member_record,
    position_prefix,
    verify_member,
)
from contracts.certificate_records import CertificateContent, certificate_key, load_certificate, status_at
from contracts.certificate_types import load_right_to_issue
from contracts.identifiers import make_identifier
from contracts.parameters import LEAST_GAS
from contracts.refusals import Refused
from node.chain.state_proof import prove_state, verify_state_proof
from node.chain.state_tree import StateTreeError, update_tree
from sm_crypto.sm3 import sm3

OTHER_TYPE = "11100000MB03271699022"
LONG = "𠮷"


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with one type registered, which the land bureau issues."""
    bench.register_type()
    return bench


@pytest.fixture
def members(office: Any) -> list[dict[str, Any]]:
    """What names the seven certificates of a batch with the serials 00000100 to 00000106."""
    named: list[dict[str, Any]] = office.issue_batch(office.batch_contents(100, 7))
    return named


def in_force(office: Any, member: dict[str, Any], **changes: Any) -> bool:
    found: bool = office.view("batches", "is_in_force", **member | changes)
    return found


def identifier_of(member: dict[str, Any]) -> str:
    identifier: str = member["content"].identifier
    return identifier


def test_a_batch_is_issued_by_its_root(office: Any, members: list[dict[str, Any]]) -> None:
    found = office.view("batches", "batch", name=members[0]["batch"])
    assert found == load_batch(office.state, f"{office.type_arguments()['code']}.{office.land_bureau}.00000100")
    assert (found.first, found.last, found.count) == ("00000100", "00000106", 7)
    assert (found.issued.status, found.issued.from_ms, found.issued.operator) == (
        "01",
        office.time_ms,
        office.issuer.address,
    )
    assert batch_key(found.name) in office.state
    for member in members:
        assert in_force(office, member)
        assert office.view("batches", "batch_of", identifier=identifier_of(member)) == found.name
    assert office.view("batches", "batch_of", identifier=office.identifier("00000107")) == ""


def test_a_leaf_is_tagged_and_says_every_field(office: Any) -> None:
    (content,) = office.batch_contents(1, 1)
    tag = b"govnode/batch-leaf/1".ljust(64, b"\0")
    assert leaf_hash(content) == sm3(tag + msgspec.msgpack.encode(list(msgspec.structs.astuple(content))))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"count": 0}, "BATCH_COUNT"),
        ({"count": MAX_BATCH_COUNT + 1}, "BATCH_COUNT"),
        ({"root": bytes(32)}, "DIGEST_ZERO"),
        ({"manifest_digest": bytes(32)}, "DIGEST_ZERO"),
        ({"first": "9"}, "SERIALS_REVERSED"),
        ({"first": "a"}, "SERIAL_MALFORMED"),
        ({"type_code": OTHER_TYPE}, "TYPE_NOT_REGISTERED"),
        ({"first": "00000106", "last": "00000110"}, "SERIALS_TAKEN"),
        ({"first": "00000000", "last": "00000100"}, "SERIALS_TAKEN"),
        ({"first": "00000102", "last": "00000103"}, "SERIALS_TAKEN"),
        ({"first": "0", "last": "1"}, "SERIALS_TAKEN"),
    ],
)
def test_faulty_batches_are_refused(
    office: Any, members: list[dict[str, Any]], changes: dict[str, Any], code: str
) -> None:
    arguments = {"type_code": office.type_arguments()["code"], "first": "00000200", "last": "00000299", "count": 5}
    arguments |= {"root": sm3(b"root"), "manifest_digest": sm3(b"manifest")} | changes
    office.refuse(code, office.issuer, "batches", "issue_batch", **arguments)


def test_only_an_authorised_issuer_issues_a_batch(office: Any) -> None:
    arguments = {"type_code": office.type_arguments()["code"], "first": "1", "last": "2", "count": 2}
    arguments |= {"root": sm3(b"root"), "manifest_digest": sm3(b"manifest")}
    office.refuse("ISSUER_NOT_AUTHORISED", office.other_issuer, "batches", "issue_batch", **arguments)
    office.refuse("ROLE_MISSING", office.approver, "batches", "issue_batch", **arguments)


def test_serials_of_a_batch_are_not_issued_singly(office: Any, members: list[dict[str, Any]]) -> None:
    for serial in ("00000100", "00000103", "00000106", "000001055"):
        office.refuse("SERIAL_IN_BATCH", office.issuer, "certificates", "issue", **office.certificate_arguments(serial))
    for serial in ("00000099", "00000107", "0000010"):
        office.issue(serial)


def test_the_ranges_hold_when_a_right_to_issue_is_taken_and_given_again(
    office: Any, members: list[dict[str, Any]]
) -> None:
    right = {"type_code": office.type_arguments()["code"], "department": office.land_bureau}
    office.accept(office.governor, "certificates", "withdraw_issuer", **right)
    office.accept(office.governor, "certificates", "allow_issuer", **right)
    assert load_right_to_issue(office.state, right["type_code"], right["department"]).has_batches
    office.refuse("SERIAL_IN_BATCH", office.issuer, "certificates", "issue", **office.certificate_arguments("00000103"))


@pytest.mark.parametrize(
    "changes",
    [
        {"document_digest": sm3(b"another")},
        {"holder_commitment": sm3(b"another")},
        {"valid_from_ms": 0},
        {"valid_to_ms": 253_402_271_999_999},
        {"document_digest": bytes(32)},
        {"valid_to_ms": 0},
        {"identifier": "x"},
        {"identifier": "1.2.156.3005.2.11100000MB03271699001.11990100MB0000002X.00000102.001.0"},
    ],
)
def test_a_changed_leaf_is_not_of_the_batch(
    office: Any, members: list[dict[str, Any]], changes: dict[str, Any]
) -> None:
    changed = members[2] | {"content": msgspec.structs.replace(members[2]["content"], **changes)}
    assert not in_force(office, changed)
    assert office.call(office.issuer, "batches", "admit", **changed).refusal is not None
    with pytest.raises(Refused):
        office.view("batches", "status", time_ms=office.time_ms, **changed)


def test_a_leaf_stands_at_its_own_place_only(office: Any, members: list[dict[str, Any]]) -> None:
    office.issue_batch(office.batch_contents(200, 7))
    member = members[2]
    other = member["batch"].replace("00000100", "00000200")
    for changes in (
        {"position": 3},
        {"position": 7},
        {"position": 2**64 - 1},
        {"path": member["path"][:-1]},
        {"path": [*member["path"], bytes(32)]},
        {"path": [bytes(32)] * 70},
        {"path": members[3]["path"]},
    ):
        assert not in_force(office, member, **changes)
        office.refuse("NOT_IN_BATCH", office.issuer, "batches", "admit", **member | changes)
    office.refuse("OUTSIDE_BATCH", office.issuer, "batches", "admit", **member | {"batch": other})
    office.refuse("BATCH_UNKNOWN", office.issuer, "batches", "admit", **member | {"batch": "x" * 1_000})
    assert not in_force(office, member, batch=other)
    assert not in_force(office, member, batch="x" * 1_000)


@pytest.mark.parametrize("outside", ["type", "issuer", "serial"])
def test_a_leaf_outside_the_serials_of_its_batch_counts_for_nothing(office: Any, outside: str) -> None:
    """A manifest is the issuer's work: what it has no right to, or has not taken the serials for, the root cannot give it."""
    code, issuer = office.type_arguments()["code"], office.land_bureau
    strange = {
        "type": make_identifier(OTHER_TYPE, issuer, "00000001"),
        "issuer": make_identifier(code, office.tax_bureau, "00000001"),
        "serial": make_identifier(code, issuer, "00000009"),
    }[outside]
    contents = [
        *office.batch_contents(1, 1),
        msgspec.structs.replace(office.batch_contents(2, 1)[0], identifier=strange),
    ]
    genuine, member = office.issue_batch(contents, last="00000002")
    assert in_force(office, genuine)
    assert not in_force(office, member)
    office.refuse("OUTSIDE_BATCH", office.issuer, "batches", "admit", **member)


def test_the_root_of_the_identifier_may_be_left_out(office: Any, members: list[dict[str, Any]]) -> None:
    content = members[0]["content"]
    short = msgspec.structs.replace(content, identifier=content.identifier.removeprefix("1.2.156.3005.2."))
    assert in_force(office, members[0], content=short)


def test_a_member_lives_like_any_certificate_once_it_has_a_record(office: Any, members: list[dict[str, Any]]) -> None:
    member, identifier = members[4], identifier_of(members[4])
    issued_ms = office.time_ms
    suspension = {"identifier": identifier, "reason": "核查"}
    office.refuse("CERTIFICATE_UNKNOWN", office.issuer, "certificates", "suspend", **suspension)
    implied = office.view("batches", "status", time_ms=issued_ms, **member)
    office.accept(office.issuer, "batches", "admit", **member)
    record = load_certificate(office.state, identifier)
    batch = load_batch(office.state, member["batch"])
    assert record is not None
    assert batch is not None
    content = member["content"]
    assert record == member_record(batch, content, verify_member(batch, 4, content, member["path"]))
    assert (record.issued_ms, status_at(record, issued_ms)) == (issued_ms, implied)
    assert office.view("batches", "admitted", batch=member["batch"], position=4) == identifier
    assert position_prefix(member["batch"]) + (4).to_bytes(8, "big") in office.state
    office.accept(office.issuer, "certificates", "suspend", **suspension)
    assert not in_force(office, member)
    assert office.view("batches", "status", time_ms=office.time_ms, **member).reason == "核查"
    assert office.view("batches", "status", time_ms=office.time_ms - 1, **member).is_valid
    office.accept(office.issuer, "certificates", "resume", **suspension)
    assert in_force(office, member)
    office.refuse("CERTIFICATE_EXISTS", office.issuer, "batches", "admit", **member)
    assert [in_force(office, one) for one in members] == [True] * 7


def test_only_the_issuing_department_gives_a_member_a_record(office: Any, members: list[dict[str, Any]]) -> None:
    office.refuse("OTHER_DEPARTMENT", office.other_issuer, "batches", "admit", **members[0])
    office.refuse("ROLE_MISSING", office.approver, "batches", "admit", **members[0])


def test_validity_of_a_member_ends_by_itself(office: Any) -> None:
    end = office.time_ms + 10_000
    (member,) = office.issue_batch(office.batch_contents(1, 1, valid_to_ms=end))
    assert in_force(office, member)
    office.time_ms = end + 1
    assert not in_force(office, member)
    assert office.view("batches", "status", time_ms=end + 1, **member).verdict == "EXPIRED"


def test_a_single_certificate_under_an_identifier_outweighs_a_leaf(office: Any) -> None:
    """A batch may be issued over serials that single certificates have: what the record says holds, and the leaf is nothing."""
    single = office.issue("00000003", document_digest=sm3(b"single"))
    members = office.issue_batch(office.batch_contents(1, 5))
    assert [in_force(office, one) for one in members] == [True, True, False, True, True]
    with pytest.raises(Refused, match="ANOTHER_CERTIFICATE"):
        office.view("batches", "status", time_ms=office.time_ms, **members[2])
    office.refuse("CERTIFICATE_EXISTS", office.issuer, "batches", "admit", **members[2])
    assert office.view("certificates", "is_in_force", identifier=single)


def test_a_member_is_renewed_singly_under_its_own_serial(office: Any, members: list[dict[str, Any]]) -> None:
    first = identifier_of(members[1])
    office.accept(office.issuer, "batches", "admit", **members[1])
    code = office.type_arguments()["code"]
    second = make_identifier(code, office.land_bureau, "00000101", "002")
    renewal = {"predecessor": first, "reason": "延续", **office.certificate_arguments(identifier=second)}
    elsewhere = renewal | {"identifier": make_identifier(code, office.land_bureau, "00000102", "002")}
    office.refuse("SERIAL_IN_BATCH", office.issuer, "certificates", "renew", **elsewhere)
    office.accept(office.issuer, "certificates", "renew", **renewal)
    assert not in_force(office, members[1])
    assert office.view("batches", "status", time_ms=office.time_ms, **members[1]).successor == second
    assert office.view("certificates", "is_in_force", identifier=second)


def test_a_single_successor_never_takes_the_identifier_of_a_leaf(office: Any) -> None:
    """What keeps its serial inside a batch comes in a later version, and leaves of later versions count for nothing."""
    code = office.type_arguments()["code"]
    versions = {number: make_identifier(code, office.land_bureau, "5", f"{number:03}") for number in (1, 2, 3)}
    office.accept(office.issuer, "certificates", "issue", **office.certificate_arguments(identifier=versions[2]))
    (content,) = office.batch_contents(5, 1)
    _, later = office.issue_batch([msgspec.structs.replace(content, identifier=versions[number]) for number in (1, 3)])
    office.refuse("OUTSIDE_BATCH", office.issuer, "batches", "admit", **later)
    assert not in_force(office, later)
    renewal = {"predecessor": versions[2], "reason": "延续"}
    taken = office.certificate_arguments(identifier=versions[1])
    office.refuse("SERIAL_IN_BATCH", office.issuer, "certificates", "renew", **renewal, **taken)
    free = office.certificate_arguments(identifier=versions[3])
    office.accept(office.issuer, "certificates", "renew", **renewal, **free)


def test_a_serial_of_another_department_is_no_reason_to_have_it(bench: Any) -> None:
    """A predecessor's own serial may be kept, but one that the receiving department's batch has taken is that batch's."""
    office = bench
    office.register_type(issuers=[office.land_bureau, office.tax_bureau])
    code = office.type_arguments()["code"]
    batch = {"type_code": code, "first": "1", "last": "2", "count": 2, "root": sm3(b"r"), "manifest_digest": sm3(b"m")}
    office.accept(office.other_issuer, "batches", "issue_batch", **batch)
    first = office.issue("1")
    office.accept(
        office.issuer, "certificates", "transfer_out", identifier=first, recipient=office.tax_bureau, reason="迁移"
    )
    taken = {"predecessor": first, "reason": "转入"}
    for serial, code_of_refusal in (("1", "SERIAL_IN_BATCH"), ("3", None)):
        identifier = make_identifier(code, office.tax_bureau, serial)
        given = taken | office.certificate_arguments(identifier=identifier)
        assert office.call(office.other_issuer, "certificates", "transfer_in", **given).refusal == code_of_refusal


def test_certificates_are_renewed_by_those_of_a_batch(office: Any, members: list[dict[str, Any]]) -> None:
    single = office.issue("1")
    office.accept(office.issuer, "batches", "admit", **members[0])
    nexts = office.issue_batch(office.batch_contents(500, 3))
    for old, new in ((single, nexts[0]), (identifier_of(members[0]), nexts[1])):
        renewal = {"predecessor": old, "reason": "年度延续"} | new
        office.accept(office.issuer, "batches", "renew", **renewal)
        before, after = load_certificate(office.state, old), load_certificate(office.state, identifier_of(new))
        assert before is not None
        assert after is not None
        assert (before.successor, after.predecessor) == (after.identifier, before.identifier)
        assert (before.status, status_at(before, office.time_ms).verdict) == ("05", "SUPERSEDED")
        assert in_force(office, new)
        office.refuse("CERTIFICATE_EXISTS", office.issuer, "batches", "renew", **renewal)
    again = {"predecessor": single, "reason": "延续"} | nexts[2]
    office.refuse("ALREADY_SUCCEEDED", office.issuer, "batches", "renew", **again)
    unknown = again | {"predecessor": identifier_of(members[5])}
    office.refuse("CERTIFICATE_UNKNOWN", office.issuer, "batches", "renew", **unknown)
    office.refuse("OTHER_DEPARTMENT", office.other_issuer, "batches", "renew", **again)


class Nodes:
    """The nodes of a state tree of one version."""

    def __init__(self, state: dict[bytes, bytes]) -> None:
        tree = update_tree(self, None, 0, state)
        assert tree is not None
        self.nodes, self.root = tree.nodes, tree.root_hash

    def read_node(self, path: str, version: int) -> bytes:
        try:
            return self.nodes[path]
        except KeyError:
            raise StateTreeError(path) from None


def test_that_a_member_has_no_record_can_be_proved(office: Any, members: list[dict[str, Any]]) -> None:
    """With leaf, path and batch that is all that an offline verifier needs to know that nothing happened to a certificate."""
    key = certificate_key(identifier_of(members[3]))
    position = position_prefix(members[3]["batch"]) + (3).to_bytes(8, "big")
    before = Nodes(office.state)
    for one in (key, position):
        verify_state_proof(prove_state(before, 0, one), one, None, before.root)
    office.accept(office.issuer, "batches", "admit", **members[3])
    after = Nodes(office.state)
    for one in (key, position):
        verify_state_proof(prove_state(after, 0, one), one, office.state[one], after.root)


def used(office: Any, contract: str, method: str, **arguments: Any) -> int:
    """Return the gas of a call that must be accepted, all of it within the least limit that governors can set."""
    gas: int = office.accept(office.issuer, contract, method, **arguments).gas_used
    assert gas < LEAST_GAS
    return gas


def test_the_gas_of_batches_is_bounded(office: Any) -> None:
    contents = office.batch_contents(1, 2)
    first, second = office.issue_batch(contents)
    arguments = {"type_code": office.type_arguments()["code"], "root": sm3(b"r"), "manifest_digest": sm3(b"m")}
    cost = used(office, "batches", "issue_batch", first="9", last="9Z", count=MAX_BATCH_COUNT, **arguments)
    assert cost < 150_000
    assert used(office, "batches", "admit", **first) < 90_000
    renewal = {"predecessor": identifier_of(first), "reason": LONG * 200} | second
    assert used(office, "batches", "renew", **renewal) < 250_000


def test_a_single_issue_reads_no_ranges_while_there_are_none(office: Any) -> None:
    plain = used(office, "certificates", "issue", **office.certificate_arguments("00000001"))
    office.issue_batch(office.batch_contents(100, 2))
    beside = used(office, "certificates", "issue", **office.certificate_arguments("00000002"))
    assert plain < 62_000
    assert 0 < beside - plain < 5_000


def test_contents_with_faults_of_form_are_named(office: Any) -> None:
    (content,) = office.batch_contents(1, 1)
    wrong = msgspec.structs.replace(content, identifier=content.identifier[:-1] + "*")
    (member,) = office.issue_batch([content])
    office.refuse("IDENTIFIER_MALFORMED", office.issuer, "batches", "admit", **member | {"content": wrong})
    assert isinstance(member["content"], CertificateContent)
