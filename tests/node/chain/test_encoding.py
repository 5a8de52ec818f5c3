"""Encoding: one value, one encoding; decoders take canonical bytes or raise CodecError, whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages import CommitCertificate
from consensus.validators import Validator
from contracts.call import Log
from contracts.parameters import ChainParameters
from node.chain.block import Body, Header, Receipt, SealedBlock, block_id, decode_header
from node.chain.codec import CodecError, decode, decode_trusted, encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.proof import RecordProof, SetChange, decode_record_proof
from node.chain.state_proof import ProofStep, StateLeaf, StateProof
from node.chain.transaction import (
    MAX_TRANSACTION_BYTES,
    Transaction,
    TransactionBody,
    address_of,
    decode_transaction,
    transaction_hash,
    transaction_id,
)
from sm_crypto.sm3 import sm3

digests = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
keys = st.binary(min_size=64, max_size=64)
uint63 = st.integers(0, 2**63 - 1)
heights = st.integers(1, 2**62)
bodies = st.builds(
    TransactionBody,
    version=st.just(1),
    chain_id=uint63,
    nonce=st.binary(min_size=16, max_size=16),
    valid_until_ms=uint63,
    sender_key=keys,
    to=st.none() | addresses,
    gas_limit=uint63,
    data=st.binary(max_size=300),
)
transactions = st.builds(Transaction, body=bodies, signature=keys)
headers = st.builds(
    Header,
    version=st.just(1),
    height=heights,
    parent_id=digests,
    history_root=digests,
    time_ms=uint63,
    proposer=addresses,
    transactions_root=digests,
    receipts_root=digests,
    state_root=digests,
    validators_hash=digests,
    next_validators_hash=digests,
    parameters_hash=digests,
    evidence_root=digests,
)
certificates = st.builds(
    CommitCertificate,
    height=heights,
    round=st.integers(0, 2**31 - 1),
    block_id=digests,
    signers=st.lists(st.integers(0, 1023), max_size=4),
    signatures=st.lists(keys, max_size=4),
)
sealed_blocks = st.builds(
    SealedBlock,
    header=headers,
    body=st.builds(Body, st.lists(st.binary(max_size=50), max_size=4), st.lists(st.binary(max_size=50), max_size=4)),
    certificate=certificates,
)
logs = st.builds(Log, address=addresses, topics=st.lists(digests, max_size=4).map(tuple), data=st.binary(max_size=64))
receipts = st.builds(
    Receipt,
    refusal=st.none() | st.text(max_size=20),
    gas_used=uint63,
    output=st.binary(max_size=64),
    logs=st.lists(logs, max_size=3).map(tuple),
    sender_nonce=uint63,
)
genesis_files = st.builds(
    Genesis,
    chain_id=st.integers(1, 2**53 - 1),
    network_name=st.text(max_size=20),
    time_ms=st.integers(0, 2**53 - 1),
    parameters=st.builds(ChainParameters, block_interval_ms=st.integers(1, 60_000)),
    validators=st.lists(st.builds(GenesisValidator, st.text(max_size=5), st.text(max_size=5), keys), max_size=3).map(
        tuple
    ),
    departments=st.lists(
        st.builds(
            GenesisDepartment,
            *[st.text(max_size=6)] * 5,
            st.lists(
                st.builds(GenesisAccount, keys, st.lists(st.text(max_size=5)).map(tuple), st.text(max_size=5)),
                max_size=2,
            ).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    root_certificate=st.binary(max_size=40),
)
validators = st.lists(st.builds(Validator, addresses, keys), min_size=1, max_size=3).map(tuple)
state_proofs = st.builds(
    StateProof,
    leaf=st.none() | st.builds(StateLeaf, digests, digests),
    steps=st.lists(
        st.builds(ProofStep, st.integers(0, 0xFFFF), st.lists(digests, max_size=4).map(tuple)), min_size=1, max_size=4
    ).map(tuple),
)
record_proofs = st.builds(
    RecordProof,
    version=st.just(1),
    key=st.binary(max_size=40),
    value=st.none() | st.binary(max_size=40),
    state=state_proofs,
    header=headers,
    certificate=certificates,
    validators=validators,
    walk=st.lists(st.builds(SetChange, headers, certificates, validators), max_size=2).map(tuple),
)

CASES: list[tuple[type[Any], st.SearchStrategy[Any], Callable[[bytes], Any]]] = [
    (Transaction, transactions, decode_transaction),
    (Header, headers, decode_header),
    (SealedBlock, sealed_blocks, lambda raw: decode(raw, SealedBlock)),
    (Receipt, receipts, lambda raw: decode(raw, Receipt)),
    (Genesis, genesis_files, lambda raw: decode(raw, Genesis)),
    (RecordProof, record_proofs, decode_record_proof),
]
NAMES = [kind.__name__ for kind, _, _ in CASES]


@pytest.mark.parametrize(("kind", "values", "decoder"), CASES, ids=NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same_value(
    kind: type[Any], values: st.SearchStrategy[Any], decoder: Callable[[bytes], Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    raw = encode(value)
    assert decoder(raw) == value
    assert type(decoder(raw)) is kind


@pytest.mark.parametrize(("kind", "values", "decoder"), CASES, ids=NAMES)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_another_value_or_refused(
    kind: type[Any], values: st.SearchStrategy[Any], decoder: Callable[[bytes], Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    raw = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        edit = data.draw(st.sampled_from(["set", "delete", "insert", "cut"]))
        if edit == "set":
            raw[at] = data.draw(st.integers(0, 255))
        elif edit == "delete" and len(raw) > 1:
            del raw[at]
        elif edit == "insert":
            raw.insert(at, data.draw(st.integers(0, 255)))
        elif edit == "cut" and at:
            del raw[at:]
    try:
        found = decoder(bytes(raw))
    except CodecError:
        return
    # Two encodings of one value would give one transaction two hashes.
    assert encode(found) == raw


@pytest.mark.parametrize(("kind", "values", "decoder"), CASES, ids=NAMES)
@settings(max_examples=80, deadline=None)
@given(raw=st.binary(max_size=200))
def test_noise_is_refused_with_the_one_error(
    kind: type[Any], values: st.SearchStrategy[Any], decoder: Callable[[bytes], Any], raw: bytes
) -> None:
    with pytest.raises(CodecError, match="expected"):
        decoder(raw)


def sample_transaction() -> Transaction:
    body = TransactionBody(1, 7, bytes(16), 1_000, bytes(range(64)), b"\x05" * 20, 100, b"data")
    return Transaction(body, b"\x07" * 64)


@pytest.mark.parametrize(
    "other",
    [
        lambda raw: raw + b"\0",
        lambda raw: b"\xdc\x00\x02" + raw[1:],  # the outer array with a longer head
        lambda raw: raw.replace(b"\xcd\x03\xe8", b"\xce\x00\x00\x03\xe8"),  # an integer in more bytes than it needs
        lambda raw: raw.replace(b"\xc4\x04data", b"\xc5\x00\x04data"),  # a length in more bytes than it needs
        lambda raw: raw.replace(b"\xc4\x04data", b"\xa4data"),  # text in the place of bytes
        lambda raw: b"\x93" + raw[1:] + b"\xc0",  # a field too many
        lambda raw: b"\x82" + raw[1:],  # a map
        lambda raw: b"",
        lambda raw: b"\x91" * 100_000,
    ],
)
def test_other_encodings_of_a_transaction_are_refused(other: Callable[[bytes], bytes]) -> None:
    raw = encode(sample_transaction())
    assert decode_transaction(raw) == sample_transaction()
    changed = other(raw)
    assert changed != raw
    with pytest.raises(CodecError):
        decode_transaction(changed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("chain_id", -1),
        ("chain_id", 2**63),
        ("nonce", bytes(15)),
        ("valid_until_ms", 2**64 - 1),
        ("sender_key", bytes(65)),
        ("to", bytes(19)),
        ("gas_limit", 1.5),
        ("data", bytes(96 * 1024 + 1)),
    ],
)
def test_a_field_outside_its_bounds_is_refused(field: str, value: object) -> None:
    transaction = sample_transaction()
    body = msgspec.structs.replace(transaction.body, **{field: value})
    with pytest.raises(CodecError):
        decode_transaction(encode(Transaction(body, transaction.signature)))


def test_a_transaction_past_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(CodecError, match=f"at most {MAX_TRANSACTION_BYTES} bytes, found {MAX_TRANSACTION_BYTES + 1}"):
        decode_transaction(bytes(MAX_TRANSACTION_BYTES + 1))


def test_the_id_names_the_body_and_the_hash_names_the_signature_too() -> None:
    one = sample_transaction()
    other = Transaction(one.body, b"\x08" * 64)
    assert transaction_id(one.body) == transaction_id(other.body)
    assert transaction_hash(encode(one)) != transaction_hash(encode(other))
    assert transaction_id(one.body) == sm3(b"govnode/transaction-id/1".ljust(64, b"\0") + encode(one.body))
    assert address_of(one.body.sender_key) == sm3(one.body.sender_key)[12:]


@settings(max_examples=60, deadline=None)
@given(headers, st.data())
def test_a_block_id_covers_every_header_field(header: Header, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([name for name in Header.__struct_fields__ if name != "version"]))
    value = getattr(header, field)
    changed: object = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    assert block_id(msgspec.structs.replace(header, **{field: changed})) != block_id(header)


@settings(max_examples=20, deadline=None)
@given(genesis_files, genesis_files)
def test_a_genesis_hash_names_one_genesis(one: Genesis, other: Genesis) -> None:
    assert (one.hash == other.hash) == (one == other)
    assert one.parameters.hash == ChainParameters(block_interval_ms=one.parameters.block_interval_ms).hash


def test_own_bytes_that_do_not_decode_are_an_error_too() -> None:
    with pytest.raises(CodecError):
        decode_trusted(b"\xc1", Header)
    assert decode_trusted(encode([1, 2]), list[int]) == [1, 2]
