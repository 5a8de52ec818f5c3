"""Reads: one encoding each, digests that cover every field, parts that can be kept back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED
from sm_crypto.merkle import EMPTY_ROOT, leaf_hash, node_hash
from sm_crypto.sm3 import sm3
from verification.access import reads
from verification.access.reads import NO_DIGEST, CasePart, Details, Read, SharingPart, Subject
from verification.errors import InputError

PROVIDER, CONSUMER = "11330100002489405Q", "113301000024893842"


def read_of(**changes: Any) -> Read:
    """Return a read that was served; `changes` name fields of it or of its parts."""
    salts = [bytes((n,)) * 16 for n in range(4)]
    parts: dict[str, Any] = {
        "subject": Subject(sm3(b"person"), b"", salts[0]),
        "sharing": SharingPart(
            sm3(b"grant"), "307/000001", PROVIDER, CONSUMER, bytes(19) + b"\1", "计税系统", salts[1]
        ),
        "case": CasePart("存量房交易计税", "存量房", "2025-000001", NO_DIGEST, salts[2]),
        "details": Details(
            sm3(b"id"),
            "GET /houses/{id}",
            ("坐落", "面积"),
            1,
            sm3(b"query"),
            sm3(b"result"),
            120,
            340,
            1000,
            1010,
            "",
            salts[3],
        ),
    }
    for name, part in parts.items():
        taken = {field: changes.pop(field) for field in part.__struct_fields__ if field in changes}
        parts[name] = msgspec.structs.replace(part, **taken)
    stated: dict[str, Any] = {
        "department": PROVIDER,
        "recorder": bytes(19) + b"\2",
        "number": 1,
        "previous_digest": bytes(32),
        "read_ms": 1_764_000_000_000,
        "side": reads.PROVIDER_SIDE,
        "outcome": SERVED,
        **parts,
    }
    return Read(**{**stated, **changes})


def test_a_read_has_one_encoding() -> None:
    read = read_of()
    raw = reads.encode_read(read)
    assert reads.decode_read(raw) == read
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(raw), None])
    # 1 as a two-byte integer: the same number, other bytes.
    other = raw.replace(b"\x01\xc4\x20" + bytes(32), b"\xcc\x01\xc4\x20" + bytes(32), 1)
    assert other != raw
    for bad in (raw + b"\0", raw[:-1], longer, other, b"", b"\x90", bytes(reads.MAX_READ_BYTES + 1)):
        with pytest.raises(InputError):
            reads.decode_read(bad)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(InputError) as refused:
        reads.decode_read(raw)
    assert refused.value.code == "READ_MALFORMED"


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_the_digest(data: st.DataObject) -> None:
    raw = reads.encode_read(read_of())
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:place] + bytes((raw[place] ^ data.draw(st.integers(1, 255)),)) + raw[place + 1 :]
    try:
        read = reads.decode_read(changed)
    except InputError:
        return
    assert reads.read_digest(read) != reads.read_digest(read_of())


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"number": 2**63},
        {"previous_digest": bytes(31)},
        {"recorder": bytes(32)},
        {"read_ms": -1},
        {"side": "both"},
        {"outcome": 4},
        {"person": b""},
        {"salt": bytes(15)},
        {"grant": NO_DIGEST},
        {"case_number": "x" * 65},
        {"purpose": "a\u202eb"},
        {"columns": ("a\nb",)},
        {"columns": ("x",) * 257},
        {"rows": -1},
        {"refusal": "NOT_GRANTED"},
        {"result_digest": NO_DIGEST},
        {"outcome": DENIED, "refusal": "GRANT_UNKNOWN"},
        {"outcome": DENIED, "result_digest": NO_DIGEST, "rows": 0},
        {"outcome": IRREGULAR},
        {"sealed_person": bytes(1025)},
    ],
)
def test_what_no_recorder_may_state_is_refused(changes: dict[str, Any]) -> None:
    read = read_of(**changes)
    with pytest.raises(InputError):
        reads.decode_read(msgspec.msgpack.encode(read))


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": DENIED, "result_digest": NO_DIGEST, "rows": 0, "refusal": "GRANT_UNKNOWN", "grant": NO_DIGEST},
        {"outcome": IRREGULAR, "refusal": "GRANT_NOT_IN_FORCE"},
        {"person": NO_DIGEST, "sealed_person": b"sealed"},
        {"side": reads.CONSUMER_SIDE, "columns": ("名" * 128,) * 256},
    ],
)
def test_what_a_recorder_may_state(changes: dict[str, Any]) -> None:
    read = read_of(**changes)
    assert reads.decode_read(reads.encode_read(read)) == read


def test_parts_can_be_kept_back() -> None:
    read = read_of()
    subject, sharing, case, details = reads.part_digests(read)
    shown = reads.part_digest(read.sharing)
    assert shown == sharing
    assert reads.placed_digest(reads.place_of(read), (subject, shown, case, details)) == reads.read_digest(read)
    # The salt alone tells two equal parts apart, so that nobody finds a case number by trying.
    assert reads.part_digest(msgspec.structs.replace(read.case, salt=bytes(range(16)))) != case


def test_a_batch_is_the_tree_over_its_digests() -> None:
    one, two = sm3(b"one"), sm3(b"two")
    assert reads.batch_root([]) == EMPTY_ROOT
    assert reads.batch_root([one, two]) == node_hash(leaf_hash(one), leaf_hash(two))


def test_a_read_id_names_grant_account_and_nonce() -> None:
    grant, account, nonce = sm3(b"grant"), bytes(20), bytes(16)
    ids = {
        reads.read_id(grant, account, nonce),
        reads.read_id(grant, account, b"\1" * 16),
        reads.read_id(grant, b"\1" * 20, nonce),
        reads.read_id(grant, account, nonce, sm3(b"token")),
    }
    assert len(ids) == 4
    with pytest.raises(ValueError, match="expected 32, 20, 16"):
        reads.read_id(grant, account, b"")
