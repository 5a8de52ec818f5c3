"""A batch's manifest: what it has and has not, with paths to the root on the ledger; anything else is refused."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.batches import BatchRecord, leaf_hash, verify_member
from contracts.certificate_records import CertificateContent, StatusInterval
from contracts.identifiers import make_identifier
from sm_crypto.merkle import merkle_root
from sm_crypto.sm3 import sm3
from verification.errors import InputError
from verification.manifest import ManifestIndex, read_manifest

TYPE_CODE, ISSUER = "11100000MB03271699001", "11990100MB0000002X"
COUNT = 2_500
"""Two whole groups and a part of one."""


def content(number: int) -> CertificateContent:
    identifier = make_identifier(TYPE_CODE, ISSUER, f"20260{number:05}")
    return CertificateContent(identifier, sm3(identifier.encode()), sm3(b"holder"), -number, 1_900_000_000_000 + number)


CONTENTS = [content(2 * number) for number in range(COUNT)]
ENTRIES = [msgspec.msgpack.encode(one) for one in CONTENTS]
MANIFEST = b"".join(ENTRIES)
ISSUED = StatusInterval("01", 0, 1_790_000_000_000, "01", "", bytes(20))


def batch(entries: list[CertificateContent], count: int | None = None) -> BatchRecord:
    root = merkle_root([leaf_hash(one) for one in entries])
    first, last = "2026000000", "2026099999"
    count = len(entries) if count is None else count
    return BatchRecord(f"{TYPE_CODE}.{ISSUER}.{first}", TYPE_CODE, ISSUER, first, last, count, root, bytes(32), ISSUED)


BATCH = batch(CONTENTS)


@pytest.fixture(scope="module")
def index() -> ManifestIndex:
    pieces = [MANIFEST[at : at + 10_007] for at in range(0, len(MANIFEST), 10_007)]
    return read_manifest(pieces, BATCH)


def read(start: int, size: int) -> bytes:
    return MANIFEST[start : start + size]


@pytest.mark.parametrize("place", [0, 1, 1_023, 1_024, 2_047, 2_048, COUNT - 1])
def test_a_certificate_is_found_with_its_path(index: ManifestIndex, place: int) -> None:
    member = index.find(CONTENTS[place].identifier, read)
    assert member is not None
    assert (member.content, member.position) == (CONTENTS[place], place)
    verify_member(BATCH, member.position, member.content, list(member.path))


@pytest.mark.parametrize("number", [1, 2_047, 4_999])
def test_what_it_has_not_is_not_found(index: ManifestIndex, number: int) -> None:
    assert index.find(content(number).identifier, read) is None
    assert index.find("0", read) is None


def test_a_manifest_that_changed_since_it_was_read(index: ManifestIndex) -> None:
    with pytest.raises(InputError) as caught:
        index.find(CONTENTS[5].identifier, lambda start, size: MANIFEST[start + len(ENTRIES[0]) :][:size])
    assert caught.value.code in {"MANIFEST_DIFFERS", "MANIFEST_MALFORMED"}


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (b"", "MANIFEST_DIFFERS"),
        (MANIFEST[: -len(ENTRIES[-1])], "MANIFEST_DIFFERS"),
        (MANIFEST + ENTRIES[0], "MANIFEST_MALFORMED"),
        (MANIFEST[:-1], "MANIFEST_MALFORMED"),
        (ENTRIES[1] + ENTRIES[0], "MANIFEST_MALFORMED"),
        (ENTRIES[0] + MANIFEST, "MANIFEST_MALFORMED"),
        (b"\x95\xa1", "MANIFEST_MALFORMED"),
    ],
)
def test_other_bytes_are_refused(manifest: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest([manifest], BATCH)
    assert caught.value.code == code


def test_a_manifest_of_another_batch_is_refused() -> None:
    other = [*CONTENTS[:-1], content(2 * COUNT + 1)]
    for record in (batch(other), batch(CONTENTS, COUNT + 1)):
        with pytest.raises(InputError) as caught:
            read_manifest([MANIFEST], record)
        assert caught.value.code == "MANIFEST_DIFFERS"


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_damage_is_one_clear_error(seed: int, count: int) -> None:
    source = Random(seed)
    damaged = bytearray(b"".join(ENTRIES[:count]))
    damaged[source.randrange(len(damaged))] ^= source.randrange(1, 256)
    with pytest.raises(InputError):
        read_manifest([bytes(damaged)], batch(CONTENTS[:count]))
    whole = read_manifest([b"".join(ENTRIES[:count])], batch(CONTENTS[:count]))
    number = source.randrange(2 * count)
    names = [one.identifier for one in CONTENTS[:count]]
    wanted = content(number).identifier
    place = bisect_left(names, wanted)
    found = whole.find(wanted, read)
    assert (found is not None) == (place < count and names[place] == wanted)
