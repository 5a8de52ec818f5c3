from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.batches import BatchRecord, leaf_hash, load_batch
from contracts.certificate_records import CertificateContent, StatusInterval
from contracts.identifiers import make_identifier
from node.chain.codec import encode
from node.chain.proof import TrustAnchor
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS, TYPE_CODE, HandMadeChain
from verification.errors import InputError
from verification.freshness import (
    Freshness,
    ListTrust,
    Subject,
    check_freshness,
    sign_status_list,
    verify_status_list,
)
from verification.status_list import (
    MIN_ENTRIES,
    ListBlock,
    Scope,
    StatusList,
    StatusListFile,
    changed_identifiers,
    changed_positions,
    decode_status_list,
    encode_status_list,
    entry_count,
    entry_places,
    look_up,
    make_batch_list,
    make_hash_list,
    parse_scope,
    scope_prefix,
)

SCOPE = Scope(TYPE_CODE, DEPARTMENT)
BATCH = Scope(TYPE_CODE, DEPARTMENT, "20260000000")
BLOCK = ListBlock(9, b"\5" * 32, START_MS)
GENESIS = b"\7" * 32


@dataclass(frozen=True)
class Office:
    """A network's root, and a person who signs for the issuer."""

    root: x509.Certificate
    signer: Signer
    chain: tuple[x509.Certificate, ...]

    def sign(self, content: StatusList, signed_ms: int = START_MS, department: str = DEPARTMENT) -> Any:
        return sign_status_list(content, department, self.signer, self.chain, signed_ms)

    def trust(self, content: StatusList, **changes: Any) -> ListTrust:
        chain = TrustAnchor(content.genesis_hash, 0, bytes(32))
        return ListTrust(**{"now_ms": START_MS + 86_400_000, "chain": chain, "roots": (self.root,), **changes})


@pytest.fixture(scope="session")
def office() -> Office:
    root = x509.issue_root("Demo City Root", now_ms=START_MS)
    department = x509.issue_department(root, DEPARTMENT, "示范局", now_ms=START_MS)
    key = PrivateKey.generate()
    person = x509.issue_person(department, "签章人", key.public_key, now_ms=START_MS)
    return Office(root.certificate, Signer(key), (person, department.certificate))


def identifier_of(serial: int) -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"{20_250_000_000 + serial}")


def hash_list(block: ListBlock, changed: list[str]) -> StatusList:
    return make_hash_list(GENESIS, SCOPE, block, entry_places(block, changed))


def entries(chain: HandMadeChain, scope: Scope) -> Iterator[tuple[bytes, bytes]]:
    prefix = scope_prefix(scope)
    return ((key, value) for key, value in sorted(chain.state.items()) if key.startswith(prefix))


def batch_list(count: int, changed: dict[int, int]) -> StatusList:
    packed = [position << 2 | value for position, value in changed.items()]
    return make_batch_list(GENESIS, batch_record(count), BLOCK, packed)


def batch_record(count: int) -> BatchRecord:
    issued = StatusInterval("01", 1, START_MS, "01", "", bytes(20))
    return BatchRecord(BATCH.name, TYPE_CODE, DEPARTMENT, BATCH.first, "3", count, b"\4" * 32, b"\1" * 32, issued)


def list_of(chain: HandMadeChain, scope: Scope, block: ListBlock) -> StatusList:
    if scope.is_batch:
        found = changed_positions(chain.state, entries(chain, scope), block.time_ms)
        batch = load_batch(chain.state, scope.name)
        assert batch is not None
        return make_batch_list(chain.genesis.hash, batch, block, found)
    changed = changed_identifiers(chain.state, entries(chain, scope), block.time_ms)
    return make_hash_list(chain.genesis.hash, scope, block, entry_places(block, changed))


def block_of(chain: HandMadeChain) -> ListBlock:
    return ListBlock(chain.height, sm3(chain.height.to_bytes(8)), chain.time_ms)


def reword(file: StatusListFile, **changes: Any) -> bytes:
    """Return a list's file with members replaced."""
    return json.dumps(json.loads(encode_status_list(file)) | changes).encode()


def fault_of(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InputError) as raised:
        call(*arguments)
    return raised.value.code


def issue_batch(chain: HandMadeChain, size: int) -> list[tuple[CertificateContent, list[bytes]]]:
    contents = [
        CertificateContent(
            make_identifier(TYPE_CODE, DEPARTMENT, f"{20_260_000_000 + place}"),
            sm3(b"document %d" % place),
            sm3(b"holder %d" % place),
            START_MS,
            START_MS + 86_400_000,
        )
        for place in range(size)
    ]
    leaves = [leaf_hash(content) for content in contents]
    last = f"{20_260_000_000 + size - 1}"
    chain.call(
        chain.clerk,
        "batches",
        "issue_batch",
        type_code=TYPE_CODE,
        first=BATCH.first,
        last=last,
        count=size,
        root=merkle_root(leaves),
        manifest_digest=b"\1" * 32,
    )
    return [(content, merkle_path(leaves, place)) for place, content in enumerate(contents)]


def test_a_batch_list_has_two_bits_a_position_the_first_highest() -> None:
    content = batch_list(10, {0: 1, 1: 2, 9: 1})
    assert content.entry_count == MIN_ENTRIES
    assert content.bits[:3] == bytes([0b01_10_00_00, 0, 0b00_01_00_00])
    assert [look_up(content, "", place) for place in (0, 1, 2, 9)] == ["SUSPENDED", "ENDED", "CLEAR", "SUSPENDED"]


def test_a_list_grows_with_a_batch_and_with_changes() -> None:
    assert entry_count(BATCH, 1_000_001, 0) == 1_000_008
    assert entry_count(SCOPE, 0, 2_048) == MIN_ENTRIES
    assert entry_count(SCOPE, 0, 2_049) == 2 * MIN_ENTRIES


def test_an_entry_by_hash_that_is_set_sends_its_verifier_online() -> None:
    changed = [identifier_of(serial) for serial in range(40)]
    content = hash_list(BLOCK, changed)
    assert {look_up(content, identifier) for identifier in changed} == {"ASK_ONLINE"}
    others = [look_up(content, identifier_of(serial)) for serial in range(1_000, 2_000)]
    assert others.count("ASK_ONLINE") < 10


def test_who_shares_an_entry_in_one_list_does_not_in_the_next() -> None:
    changed = [identifier_of(serial) for serial in range(64)]
    lists = [hash_list(ListBlock(9, bytes([place]) * 32, START_MS), changed) for place in (1, 2)]
    assert lists[0].bits != lists[1].bits


@pytest.mark.parametrize("scope", [SCOPE, BATCH], ids=["by hash", "batch"])
def test_a_list_comes_back_from_its_file(scope: Scope, office: Office) -> None:
    content = batch_list(200_000, {199_999: 2}) if scope.is_batch else hash_list(BLOCK, [identifier_of(1)])
    file = StatusListFile(content, (office.sign(content),))
    assert decode_status_list(encode_status_list(file)) == file
    assert parse_scope(scope.name) == scope


def test_what_is_signed_does_not_depend_on_the_compression() -> None:
    file = StatusListFile(hash_list(BLOCK, [identifier_of(1)]))
    again = reword(file, bits=base64.b64encode(zlib.compress(file.content.bits, 1)).decode())
    assert again != encode_status_list(file)
    assert decode_status_list(again).content.digest == file.content.digest


def test_every_part_of_the_content_is_signed() -> None:
    content = batch_list(10, {0: 1})
    changes: list[dict[str, Any]] = [
        {"genesis_hash": b"\6" * 32},
        {"scope": Scope(TYPE_CODE, DEPARTMENT, "1")},
        {"block": ListBlock(10, BLOCK.block_id, BLOCK.time_ms)},
        {"block": ListBlock(9, b"\6" * 32, BLOCK.time_ms)},
        {"block": ListBlock(9, BLOCK.block_id, BLOCK.time_ms + 1)},
        {"batch_count": 11},
        {"batch_root": b"\6" * 32},
        {"changed_count": 2},
        {"bits": b"\x80" + content.bits[1:]},
    ]
    digests = {msgspec.structs.replace(content, **change).digest for change in changes}
    assert len(digests | {content.digest}) == len(changes) + 1


def test_a_list_is_made_again_from_any_later_state(chain: HandMadeChain, identifier: str) -> None:
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="核实")
    block, before = block_of(chain), list_of(chain, SCOPE, block_of(chain))
    assert look_up(before, identifier) == "ASK_ONLINE"
    for _ in range(40):
        # More changes than a record keeps: the answer comes from a page of its history.
        chain.call(chain.clerk, "certificates", "resume", identifier=identifier, reason="核实完毕")
        chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="再次核实")
    chain.call(chain.clerk, "certificates", "resume", identifier=identifier, reason="核实完毕")
    assert list_of(chain, SCOPE, block) == before
    assert look_up(list_of(chain, SCOPE, block_of(chain)), identifier) == "CLEAR"


def test_the_list_of_a_batch_tells_suspended_from_ended(chain: HandMadeChain) -> None:
    members = issue_batch(chain, 5)
    issued = block_of(chain)
    for place in (1, 2, 3):
        content, path = members[place]
        chain.call(chain.clerk, "batches", "admit", batch=BATCH.name, position=place, content=content, path=path)
    chain.call(chain.clerk, "certificates", "suspend", identifier=members[1][0].identifier, reason="核实")
    chain.call(
        chain.clerk, "certificates", "revoke", identifier=members[2][0].identifier, status="03", reason="登记错误"
    )
    found = list_of(chain, BATCH, block_of(chain))
    assert [look_up(found, "", place) for place in range(5)] == ["CLEAR", "SUSPENDED", "ENDED", "CLEAR", "CLEAR"]
    assert list_of(chain, BATCH, issued).changed_count == 0
    # The list of the type and issuer covers the same certificates by their identifiers.
    by_hash = list_of(chain, SCOPE, block_of(chain))
    found_by_hash = [look_up(by_hash, content.identifier) for content, _ in members]
    assert found_by_hash == ["CLEAR", "ASK_ONLINE", "ASK_ONLINE", "CLEAR", "CLEAR"]


def test_validity_alone_changes_no_list(chain: HandMadeChain) -> None:
    late = ListBlock(chain.height, b"\5" * 32, START_MS + 1_000 * 365 * 86_400)
    assert list_of(chain, SCOPE, late).changed_count == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "govnode-status-list/2"},
        {"scope": "x"},
        {"scope": BATCH.name},
        {"entries": 2 * MIN_ENTRIES},
        {"entries": 8},
        {"height": 0},
        {"changed_count": 2_049},
        {"changed_count": 0},
        {"batch_count": 1},
        {"batch_root": "00" * 32},
        {"bits": ""},
        {"bits": "!"},
        {"bits": base64.b64encode(b"no zlib").decode()},
        {"bits": base64.b64encode(zlib.compress(b"")).decode()},
        {"bits": base64.b64encode(zlib.compress(bytes(MIN_ENTRIES // 8 + 1))).decode()},
        {"bits": base64.b64encode(zlib.compress(bytes(MIN_ENTRIES // 8)) + b"x").decode()},
        {"bits": base64.b64encode(zlib.compress(b"\xff" * (MIN_ENTRIES // 8))).decode()},
        {"bits": base64.b64encode(zlib.compress(bytes(1 << 28))).decode()},
        {"more": 1},
        {"anchors": ["00"] * 5},
    ],
    ids=lambda changes: "-".join(f"{name}={str(value)[:20]}" for name, value in changes.items()),
)
def test_a_malformed_file_is_refused(changes: dict[str, Any]) -> None:
    file = StatusListFile(hash_list(BLOCK, [identifier_of(1)]))
    assert fault_of(decode_status_list, reword(file, **changes)) == "STATUS_LIST_MALFORMED"


def test_a_batch_list_with_an_unknown_value_or_past_the_batch_is_refused() -> None:
    content = batch_list(10, {0: 1})
    for bits in (b"\xc0" + content.bits[1:], content.bits[:2] + b"\x04" + content.bits[3:], bytes(len(content.bits))):
        changed = msgspec.structs.replace(content, bits=bits)
        assert fault_of(decode_status_list, encode_status_list(StatusListFile(changed))) == "STATUS_LIST_MALFORMED"


def test_a_name_that_stands_twice_is_refused() -> None:
    raw = encode_status_list(StatusListFile(hash_list(BLOCK, [])))
    twice = raw.replace(b'"height"', b'"height": 1,\n "height"', 1)
    assert fault_of(decode_status_list, twice) == "STATUS_LIST_MALFORMED"


@given(st.data())
def test_no_bytes_make_the_decoder_fail_in_another_way(data: st.DataObject) -> None:
    raw = bytearray(encode_status_list(StatusListFile(batch_list(9, {8: 2}))))
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    else:
        raw = bytearray(data.draw(st.binary(max_size=200)))
    with contextlib.suppress(InputError):
        decode_status_list(bytes(raw))


def test_the_issuer_vouches_by_its_signature(office: Office) -> None:
    content = hash_list(BLOCK, [])
    file = StatusListFile(content, (office.sign(content),))
    assert verify_status_list(file, office.trust(content)) == (DEPARTMENT,)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("STATUS_LIST_OF_ANOTHER_NETWORK", {"chain": TrustAnchor(b"\1" * 32, 0, bytes(32))}),
        ("SIGNED_IN_FUTURE", {"now_ms": START_MS - 86_400_000}),
        ("TRUST_MISSING", {"roots": None}),
        ("STATUS_LIST_NOT_VOUCHED", {"departments": frozenset({CONSUMER})}),
    ],
)
def test_what_the_verifier_does_not_trust_is_refused(office: Office, code: str, change: dict[str, Any]) -> None:
    content = hash_list(BLOCK, [])
    file = StatusListFile(content, (office.sign(content),))
    assert fault_of(verify_status_list, file, office.trust(content, **change)) == code


def test_a_signature_that_does_not_hold_is_refused(office: Office) -> None:
    content = hash_list(BLOCK, [identifier_of(1)])
    trust, signature = office.trust(content), office.sign(content)
    cleared = hash_list(BLOCK, [])
    stranger = x509.issue_root("Another Root", now_ms=START_MS).certificate
    cases = [
        ("SIGNATURE_INVALID", StatusListFile(cleared, (signature,)), trust),
        ("SIGNATURE_INVALID", StatusListFile(content, (msgspec.structs.replace(signature, signed_ms=1),)), trust),
        ("SIGNER_NOT_OF_DEPARTMENT", StatusListFile(content, (office.sign(content, department=CONSUMER),)), trust),
        ("SIGNER_NOT_TRUSTED", StatusListFile(content, (signature,)), office.trust(content, roots=(stranger,))),
        ("STATUS_LIST_NOT_VOUCHED", StatusListFile(content), trust),
        ("SIGNED_BEFORE_BLOCK", StatusListFile(content, (office.sign(content, START_MS - 300_001),)), trust),
        ("SIGNED_IN_FUTURE", StatusListFile(content, (office.sign(content, trust.now_ms + 300_001),)), trust),
        ("ANCHOR_INVALID", StatusListFile(content, (signature,), (b"\1",)), trust),
    ]
    for code, file, trusted in cases:
        assert fault_of(verify_status_list, file, trusted) == code


def test_an_anchor_vouches_without_any_certificate(chain: HandMadeChain, office: Office) -> None:
    from contracts.anchors import anchor_key
    from verification.trust import trust_of_genesis

    content = list_of(chain, SCOPE, block_of(chain))
    chain.call(chain.clerk, "anchors", "anchor", digest=content.digest, label="status-list")
    proof = encode(chain.prove(anchor_key(content.digest, DEPARTMENT)))
    absent = encode(chain.prove(anchor_key(content.digest, CONSUMER)))
    known = trust_of_genesis(chain.genesis)
    anchor = TrustAnchor(chain.genesis.hash, 0, bytes.fromhex(known.next_validators_hash))
    trust = office.trust(content, chain=anchor, roots=None)
    assert verify_status_list(StatusListFile(content, (), (proof,)), trust) == (DEPARTMENT,)
    other = list_of(chain, SCOPE, block_of(chain))
    early = msgspec.structs.replace(
        content, block=ListBlock(content.block.height, content.block.block_id, chain.time_ms)
    )
    for file in (
        StatusListFile(other, (), (proof,)),
        StatusListFile(early, (), (proof,)),
        StatusListFile(content, (), (absent,)),
    ):
        assert fault_of(verify_status_list, file, trust) == "ANCHOR_INVALID"


def ask(content: StatusList, office: Office, known_height: int = 5, subject: Subject | None = None) -> Freshness:
    raw = encode_status_list(StatusListFile(content, (office.sign(content),)))
    return check_freshness(raw, subject or Subject(identifier_of(1)), known_height, office.trust(content))


def test_a_list_says_what_became_of_a_certificate_since_its_proof(office: Office) -> None:
    clear = ask(hash_list(BLOCK, []), office)
    assert (clear.state, clear.code, clear.height, clear.age_ms) == ("held", "CLEAR", 9, 86_400_000)
    assert clear.departments == (DEPARTMENT,)
    unsure = ask(hash_list(BLOCK, [identifier_of(1)]), office)
    assert (unsure.state, unsure.code) == ("broken", "ASK_ONLINE")
    member = Subject(make_identifier(TYPE_CODE, DEPARTMENT, "20260000003"), BATCH.name, 3)
    for value, code in ((1, "SUSPENDED"), (2, "ENDED")):
        found = ask(batch_list(10, {3: value}), office, subject=member)
        assert (found.state, found.code) == ("broken", code)


def test_a_list_older_than_the_proof_adds_nothing(office: Office) -> None:
    older = ask(hash_list(BLOCK, [identifier_of(1)]), office, known_height=10)
    assert (older.state, older.code) == ("not-asked", "STATUS_LIST_OLDER")


def test_a_list_about_others_is_no_answer(office: Office) -> None:
    batch = batch_list(10, {})
    member = make_identifier(TYPE_CODE, DEPARTMENT, "20260000003")
    cases = [
        (hash_list(BLOCK, []), Subject(make_identifier(TYPE_CODE, CONSUMER, "1"))),
        (batch, Subject(member)),
        (batch, Subject(member, BATCH.name, 10)),
        (batch, Subject(member, f"{SCOPE.name}.1", 3)),
    ]
    for content, subject in cases:
        found = ask(content, office, subject=subject)
        assert (found.state, found.code) == ("broken", "STATUS_LIST_NOT_ABOUT")


def test_a_list_in_another_form_is_told(office: Office) -> None:
    content = hash_list(BLOCK, [])
    found = check_freshness(b"{}", Subject(identifier_of(1)), 5, office.trust(content))
    assert (found.state, found.code, found.height) == ("broken", "STATUS_LIST_MALFORMED", None)
