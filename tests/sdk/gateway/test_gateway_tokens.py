"""Tokens and receipts: what they state, and that nothing else passes for one."""

import base64
import contextlib
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.gateway.denials import Denied
from sdk.gateway.receipts import (
    Receipt,
    decode_receipt,
    encode_receipt,
    make_receipts,
    receipt_digest,
    receipts_root,
    state_read,
    verify_receipt,
)
from sdk.gateway.tokens import TokenClaims, TokenDesk, decode_token_request, make_token, open_token
from sdk.gateway.used_reads import UsedReads
from sm_crypto.sm2 import PrivateKey
from tests.sdk.gateway.grant_records import CONSUMER, NOW_MS, PROVIDER, RESOURCE
from verification.access.reads import (
    PROVIDER_SIDE,
    CasePart,
    Details,
    Read,
    SharingPart,
    Subject,
    read_digest,
)
from verification.errors import InputError

KEY = b"\1" * 32
ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"-_"
CLAIMS = TokenClaims(b"\2" * 20, CONSUMER, b"\3" * 32, "办理抵押登记", "抵押系统", NOW_MS)


def sample_read(number: int) -> Read:
    salt = bytes([number]) * 16
    details = Details(b"\4" * 32, "GET /x", ("a",), 1, b"\5" * 32, b"\6" * 32, 0, 9, 1, 2, "", salt)
    sharing = SharingPart(b"\3" * 32, RESOURCE, PROVIDER, CONSUMER, b"\2" * 20, "抵押系统", salt)
    case = CasePart("办理抵押登记", "", "2026-1", bytes(32), salt)
    subject = Subject(bytes(32), b"", salt)
    return Read(PROVIDER, b"\7" * 20, number, bytes(32), NOW_MS, PROVIDER_SIDE, 1, subject, sharing, case, details)


def test_a_token_states_what_was_signed_for_until_it_expires() -> None:
    token = make_token(KEY, CLAIMS).encode()
    assert open_token(KEY, token, NOW_MS - 1) == CLAIMS
    with pytest.raises(Denied) as denied:
        open_token(KEY, token, NOW_MS)
    assert (denied.value.code, denied.value.status) == ("TOKEN_EXPIRED", 401)
    # One that was used before is not looked into again, and expires all the same.
    desk = TokenDesk(KEY)
    for _ in range(2):
        assert desk.open(token, NOW_MS - 1).claims == CLAIMS
    for _ in range(2):
        with pytest.raises(Denied) as denied:
            desk.open(token, NOW_MS)
        assert denied.value.code == "TOKEN_EXPIRED"


def test_a_token_of_another_process_or_changed_anywhere_is_none() -> None:
    token = make_token(KEY, CLAIMS)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    changed = []
    for position in range(len(raw)):
        raw[position] ^= 1
        changed.append(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"="))
        raw[position] ^= 1
    for other in (*changed, b"", b"\xff", b"x" * 5_000, token.encode()[:-4]):
        with pytest.raises(Denied) as denied:
            open_token(KEY, other, NOW_MS - 1)
        assert denied.value.code == "TOKEN_INVALID"
    with pytest.raises(Denied):
        open_token(b"\2" * 32, token.encode(), NOW_MS - 1)


def test_a_token_has_one_text() -> None:
    for system in ("x", "xx", "xxx"):
        token = make_token(KEY, msgspec.structs.replace(CLAIMS, system=system)).encode()
        last = [token[:-1] + bytes([letter]) for letter in ALPHABET]
        others = (token + b"=", token + b"==", token.translate(bytes.maketrans(b"-_", b"+/")) + b"=", b" " + token)
        taken = set()
        for text in (*last, *others):
            with contextlib.suppress(Denied):
                open_token(KEY, text, NOW_MS - 1)
                taken.add(text)
        assert taken == {token}


@given(st.binary(max_size=100))
def test_any_bytes_are_no_token_and_no_request(raw: bytes) -> None:
    with pytest.raises(Denied):
        open_token(KEY, raw, 0)
    with pytest.raises(Denied):
        decode_token_request(raw)


@pytest.mark.parametrize(
    "change", [{"grant": "00"}, {"purpose": ""}, {"purpose": "x\n"}, {"system": "x" * 65}, {"more": 1}]
)
def test_token_requests_have_one_form(change: dict[str, object]) -> None:
    said = {"grant": "0" * 64, "purpose": "办理抵押登记", "system": "抵押系统"}
    assert decode_token_request(msgspec.json.encode(said)).system == "抵押系统"
    with pytest.raises(Denied) as denied:
        decode_token_request(msgspec.json.encode(said | change))
    assert denied.value.code == "TOKEN_REQUEST_MALFORMED"


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_one_signature_stands_for_every_read_that_was_recorded_with_it(count: int) -> None:
    key = PrivateKey.generate()
    reads = [sample_read(number) for number in range(1, count + 1)]
    digests = [read_digest(read) for read in reads]
    signature = key.sign(receipt_digest(receipts_root(digests)))
    for read, receipt in zip(reads, make_receipts(reads, digests, signature), strict=True):
        assert verify_receipt(decode_receipt(encode_receipt(receipt)), key.public_key) == state_read(read)
        other = msgspec.structs.replace(receipt, read=state_read(sample_read(99)))
        for bad, by in ((other, key.public_key), (receipt, PrivateKey.generate().public_key)):
            with pytest.raises(InputError) as error:
                verify_receipt(bad, by)
            assert error.value.code == "RECEIPT_INVALID"


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_no_receipt(text: str) -> None:
    with pytest.raises(InputError):
        verify_receipt(decode_receipt(text), bytes(64))


def test_a_receipt_has_bounds() -> None:
    receipt = Receipt(state_read(sample_read(1)), 4_096, 4_096, (), bytes(64))
    with pytest.raises(InputError):
        decode_receipt(encode_receipt(receipt))


def test_a_read_is_known_again_for_as_long_as_its_token_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk.gateway.used_reads.MAX_USED", 3)
    now_s = [0.0]
    used = UsedReads(10, lambda: now_s[0])
    assert used.take(b"1")
    now_s[0] = 10.0
    assert not used.take(b"1")
    assert used.take(b"2")
    # Tokens that could ask for the first read again have expired; those of the second one may live.
    now_s[0] = 10.5
    assert used.take(b"3")
    now_s[0] = 20.0
    assert not used.take(b"2")
    with pytest.raises(Denied) as denied:
        used.take(b"4")
    assert denied.value.code == "TOO_MANY_READS"
    now_s[0] = 21.0
    assert used.take(b"4")
    assert used.take(b"2")
