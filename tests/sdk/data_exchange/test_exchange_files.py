"""Exchange files: what was sealed comes back, as a stream; what is not one, or was changed, is told apart."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import msgspec
import pytest
from gmssl import sm2 as gmssl_sm2
from gmssl import sm3 as gmssl_sm3
from gmssl import sm4 as gmssl_sm4
from hypothesis import given
from hypothesis import strategies as st

from sdk.data_exchange.files import Envelope, FileDigests, Note, OpenedFile, open_file, read_envelope, seal_file
from sm_crypto.sealing import CHUNK_BYTES, HEADER_BYTES
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.errors import InputError

KEY, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in (71, 72))
ENVELOPE = Envelope(
    format="govnode-exchange/1",
    genesis="11" * 32,
    grant="22" * 32,
    number=3,
    provider="11990100MB0000002X",
    consumer="11990100MB00000031",
    key_number=1,
)
NOTE = Note("房产.csv", 7, "33" * 32)


def sealed(payload: bytes, envelope: Envelope = ENVELOPE, note: Note = NOTE) -> tuple[bytes, FileDigests]:
    target = io.BytesIO()
    digests = seal_file(io.BytesIO(payload), target, envelope, note, KEY.public_key)
    return target.getvalue(), digests


def opened(raw: bytes, key: PrivateKey = KEY) -> tuple[bytes, OpenedFile]:
    target = io.BytesIO()
    found = open_file(io.BytesIO(raw), target, key)
    return target.getvalue(), found


@given(st.binary(max_size=500))
def test_a_payload_comes_back_with_its_note_and_digests(payload: bytes) -> None:
    raw, digests = sealed(payload)
    found, told = opened(raw)
    assert (found, told.note, told.digests) == (payload, NOTE, digests)
    assert read_envelope(io.BytesIO(raw)) == ENVELOPE
    assert (digests.sealed, digests.sealed_size, digests.size) == (sm3(raw), len(raw), len(payload))


@pytest.mark.parametrize("size", [CHUNK_BYTES - 200, CHUNK_BYTES - 110, CHUNK_BYTES, 2 * CHUNK_BYTES - 100])
def test_payloads_at_the_edges_of_chunks(size: int) -> None:
    note_bytes = len(msgspec.json.encode(NOTE)) + 4
    for payload in (bytes(size), bytes(size // CHUNK_BYTES * CHUNK_BYTES + CHUNK_BYTES - note_bytes)):
        raw, digests = sealed(payload)
        assert opened(raw)[0] == payload
        assert digests.size == len(payload)


class Zeros(io.RawIOBase):
    """So many zero bytes, in pieces of odd sizes as a pipe gives them."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        taken = min(size, self.left, 60_001)
        self.left -= taken
        return bytes(taken)


class Nothing(io.RawIOBase):
    def write(self, raw: Any) -> int:
        return len(raw)


def test_memory_stays_at_some_chunks_whatever_the_size() -> None:
    source: Any = Zeros(24 * CHUNK_BYTES)
    target: Any = Nothing()
    tracemalloc.start()
    digests = seal_file(source, target, ENVELOPE, NOTE, KEY.public_key)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digests.size == 24 * CHUNK_BYTES
    assert peak < 8 * CHUNK_BYTES


def test_digests_of_one_payload_tell_nothing_without_the_salt() -> None:
    other = Note(NOTE.name, NOTE.rows, "44" * 32)
    assert sealed(b"98.5")[1].payload != sealed(b"98.5", note=other)[1].payload
    assert sealed(b"98.5")[1].payload != sm3(b"98.5")


@given(st.data())
def test_a_changed_byte_is_found(data: st.DataObject) -> None:
    raw, _ = sealed(b"payload")
    changed = bytearray(raw)
    changed[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError) as refused:
        opened(bytes(changed))
    assert refused.value.code in {"EXCHANGE_MALFORMED", "NOT_OPENED"}


@given(st.integers(0, 600))
def test_a_file_cut_short_is_found(size: int) -> None:
    raw, _ = sealed(b"payload of a file that is cut")
    if size >= len(raw):
        return
    with pytest.raises(InputError) as refused:
        opened(raw[:size])
    assert refused.value.code in {"EXCHANGE_MALFORMED", "NOT_OPENED"}


@given(st.binary(max_size=300))
def test_other_bytes_are_no_exchange_file(raw: bytes) -> None:
    head = b"govnode-exchange/1\n" + len(raw).to_bytes(4, "big")
    for file in (raw, head + raw):
        with pytest.raises(InputError) as refused:
            opened(file)
        assert refused.value.code == "EXCHANGE_MALFORMED"


def test_an_envelope_of_another_delivery_does_not_open() -> None:
    """The seal covers what stands outside: nobody passes a payload off as that of another grant."""
    raw, _ = sealed(b"payload")
    for changes in ({"number": 4}, {"grant": "55" * 32}, {"consumer": "11990100MB0000002X"}):
        other, _ = sealed(b"", envelope=msgspec.structs.replace(ENVELOPE, **changes))
        size = len(msgspec.json.encode(ENVELOPE)) + 23
        with pytest.raises(InputError) as refused:
            opened(other[:size] + raw[size:])
        assert refused.value.code == "NOT_OPENED"
    with pytest.raises(InputError) as refused:
        opened(raw, OTHER)
    assert refused.value.code == "NOT_OPENED"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "govnode-exchange/2"},
        {"number": 0},
        {"grant": "22" * 31},
        {"provider": "x" * 18},
        {"genesis": "AA" * 32},
        {"more": 1},
    ],
)
def test_an_envelope_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    body = msgspec.json.encode(msgspec.to_builtins(ENVELOPE) | changes)
    with pytest.raises(InputError) as refused:
        read_envelope(io.BytesIO(b"govnode-exchange/1\n" + len(body).to_bytes(4, "big") + body))
    assert refused.value.code == "EXCHANGE_MALFORMED"


def test_an_envelope_has_one_writing() -> None:
    body = msgspec.json.encode(ENVELOPE)
    members = msgspec.to_builtins(ENVELOPE)
    turned = msgspec.json.encode(dict(reversed(members.items())))
    for other in (body + b" ", body.replace(b":", b": ", 1), turned, body.replace(b'{"', b'{"number":7,"', 1)):
        with pytest.raises(InputError) as refused:
            read_envelope(io.BytesIO(b"govnode-exchange/1\n" + len(other).to_bytes(4, "big") + other))
        assert refused.value.code == "EXCHANGE_MALFORMED"


def test_gmssl_opens_an_exchange_file_as_documented() -> None:
    """An implementation of its own from docs/spec/exchange.md: SM2, SM3 and SM4 blocks by gmssl."""

    def digest(raw: bytes) -> bytes:
        return bytes.fromhex(gmssl_sm3.sm3_hash(list(raw)))

    payload = "权利人,面积\n张三,98.5\n".encode()
    raw, digests = sealed(payload)
    assert raw[:19] == b"govnode-exchange/1\n"
    end = 23 + int.from_bytes(raw[19:23], "big")
    head, header, chunk = raw[:end], raw[end : end + HEADER_BYTES], raw[end + HEADER_BYTES :]
    context = digest(b"govnode/exchange/1".ljust(64, b"\0") + head)
    assert len(context) == 32
    recipient = gmssl_sm2.CryptSM2(KEY.to_bytes().hex(), KEY.public_key.hex(), mode=1)
    cipher = gmssl_sm4.CryptSM4()
    cipher.set_key(recipient.decrypt(header[22:]), gmssl_sm4.SM4_ENCRYPT)
    plain = b""
    for number in range(-(-(len(chunk) - 16) // 16)):
        mask = bytes(cipher.one_round(cipher.sk, list(bytes(11) + b"\x01" + (number + 2).to_bytes(4, "big"))))
        block = chunk[:-16][16 * number : 16 * number + 16]
        plain += bytes(a ^ b for a, b in zip(block, mask, strict=False))
    length = int.from_bytes(plain[:4], "big")
    note, found = plain[4 : 4 + length], plain[4 + length :]
    assert found == payload
    assert msgspec.json.decode(note) == {"name": "房产.csv", "rows": 7, "salt": "33" * 32}
    assert digests.sealed == digest(raw)
    assert digests.payload == digest(
        b"govnode/exchange-payload/1".ljust(64, b"\0") + plain[: 4 + length] + digest(payload)
    )
