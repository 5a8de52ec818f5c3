"""Ethereum's form of blocks, transactions, receipts and logs: as the execution API's specification and the yellow paper have them."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.messages import CommitCertificate
from contracts.abi import encode_error, keccak256
from contracts.call import Log
from contracts.records import ADDRESSES
from node.chain.block import Body, Header, Receipt, SealedBlock, block_id
from node.chain.codec import encode
from node.chain.transaction import Transaction, TransactionBody, address_of, transaction_id
from node.http.eth_form import (
    MAX_BLOOM_ITEMS,
    FinalBlock,
    LogFilter,
    make_bloom,
    quantity,
    show_block,
    show_genesis,
    show_header,
    show_logs,
    show_receipt,
    show_receipts,
    show_transaction,
    stored_block,
)

KEY = bytes(range(64))
TOKEN = b"\xaa" * 20
OTHER = b"\xbb" * 20
TRANSFER, PERSON = b"\x01" * 32, b"\x02" * 32
LOG = Log(TOKEN, (TRANSFER, PERSON), b"\x05")
HIDDEN = Log(ADDRESSES["audits"], (b"\x07" * 32, b"\x08" * 32), b"secret")


def sealed(*calls: tuple[bytes | None, bytes]) -> SealedBlock:
    """A block of height 9 with a transaction for each (to, data)."""
    roots: Any = [bytes(32)] * 7
    header = Header(1, 9, b"\x11" * 32, bytes(32), 1_760_000_000_789, b"\x22" * 20, *roots)
    raws = [
        encode(Transaction(TransactionBody(1, 77, bytes([n]) * 16, 1_760_000_060_000, KEY, to, 90_000, data), KEY))
        for n, (to, data) in enumerate(calls)
    ]
    return SealedBlock(header, Body(raws, []), CommitCertificate(9, 0, block_id(header), [0], [KEY]))


@pytest.fixture(scope="module")
def block() -> FinalBlock:
    receipts = [
        Receipt(None, 21_000, b"", (LOG, Log(OTHER, (), b"")), 4),
        Receipt("REVERTED", 30_000, encode_error("不行 / no"), (), 5),
        Receipt(None, 50_000, b"\xcc" * 20, (LOG,), 6),
        Receipt(None, 10_000, b"\x09" * 32, (HIDDEN,), 7),
    ]
    return stored_block(
        sealed((TOKEN, b"\x12"), (TOKEN, b""), (None, b"\xfe"), (ADDRESSES["audits"], b"case")), receipts
    )


def test_a_block_has_every_field_that_clients_parse(block: FinalBlock) -> None:
    shown = show_block(block, 1_000_000_000, is_full=False)
    assert shown["number"] == "0x9"
    assert shown["hash"] == "0x" + block.block_id.hex()
    assert shown["timestamp"] == hex(1_760_000_000)
    assert shown["timeMs"] == hex(1_760_000_000_789)
    assert shown["gasUsed"] == hex(111_000)
    assert (shown["baseFeePerGas"], shown["difficulty"], shown["nonce"]) == ("0x0", "0x0", "0x" + "00" * 8)
    assert shown["transactions"] == ["0x" + one.id.hex() for one in block.transactions]
    assert shown["sha3Uncles"] == "0x" + keccak256(b"\xc0").hex()
    assert len(shown["logsBloom"]) == 2 + 512
    head = show_header(block, 1_000_000_000)
    assert head.items() <= shown.items()
    assert set(shown) - set(head) == {"size", "totalDifficulty", "transactions", "uncles", "withdrawals"}
    assert show_block(block, 1, is_full=True)["transactions"][2] == show_transaction(block, 2)


def test_block_zero_stands_for_the_genesis() -> None:
    shown = show_genesis(b"\x31" * 32, 1_760_000_000_000, 5)
    assert (shown["number"], shown["hash"], shown["transactions"]) == ("0x0", "0x" + "31" * 32, [])
    assert set(shown) == set(show_block(stored_block(sealed(), []), 5, is_full=False))


def test_a_transaction_has_stand_ins_where_ethereum_signs_and_the_real_signature_beside_them(block: FinalBlock) -> None:
    shown = show_transaction(block, 0)
    body = block.transactions[0].body
    assert shown["hash"] == "0x" + transaction_id(body).hex()
    assert shown["from"] == "0x" + address_of(KEY).hex()
    assert (shown["nonce"], shown["value"], shown["gasPrice"], shown["type"]) == ("0x4", "0x0", "0x0", "0x0")
    assert (shown["input"], shown["to"], shown["gas"]) == ("0x12", "0x" + TOKEN.hex(), hex(90_000))
    # EIP-155 for chain 77; ethers refuses an s with its highest bit set.
    assert (shown["v"], shown["r"], shown["s"]) == (hex(77 * 2 + 35), "0x1", "0x1")
    assert (shown["sm2Signature"], shown["publicKey"]) == ("0x" + KEY.hex(), "0x" + KEY.hex())
    assert show_transaction(block, 2)["to"] is None


def test_a_receipt_counts_gas_and_logs_over_the_block(block: FinalBlock) -> None:
    first, refused, created, _ = show_receipts(block)
    assert [first["status"], refused["status"], created["status"]] == ["0x1", "0x0", "0x1"]
    assert [one["cumulativeGasUsed"] for one in (first, refused, created)] == [hex(21_000), hex(51_000), hex(101_000)]
    assert [log["logIndex"] for log in first["logs"] + created["logs"]] == ["0x0", "0x1", "0x2"]
    assert (first["contractAddress"], created["contractAddress"]) == (None, "0x" + "cc" * 20)
    assert (first["refusal"], refused["refusal"]["code"]) == (None, "REVERTED")
    assert refused["refusal"]["message"] == "不行 / no"
    assert refused["refusal"]["data"].startswith("0x08c379a0")
    assert [show_receipt(block, index) for index in range(4)] == show_receipts(block)


def test_a_log_tells_where_it_stands(block: FinalBlock) -> None:
    (shown,) = show_receipt(block, 2)["logs"]
    assert shown == {
        "address": "0x" + "aa" * 20,
        "topics": ["0x" + "01" * 32, "0x" + "02" * 32],
        "data": "0x05",
        "blockNumber": "0x9",
        "blockHash": "0x" + block.block_id.hex(),
        "blockTimestamp": hex(1_760_000_000),
        "transactionHash": "0x" + block.transactions[2].id.hex(),
        "transactionIndex": "0x2",
        "logIndex": "0x2",
        "removed": False,
    }


def test_audits_are_left_out_everywhere(block: FinalBlock) -> None:
    shown = [show_block(block, 1, is_full=True), show_receipts(block), show_logs(block)]
    for secret in (b"secret", b"case", b"\x07" * 32, b"\x08" * 32, b"\x09" * 32):
        assert secret.hex() not in repr(shown)
    assert show_receipt(block, 3)["logs"] == []
    assert show_receipt(block, 3)["isRestricted"] is True
    assert show_logs(block, LogFilter(frozenset([ADDRESSES["audits"]]), ())) == []
    # A bloom of it would tell whether a guessed department is among them.
    assert make_bloom([HIDDEN]) == bytes(256)


def test_a_bloom_sets_three_bits_for_each_address_and_topic() -> None:
    bloom = int.from_bytes(make_bloom([LOG]))
    for item in (TOKEN, TRANSFER, PERSON):
        digest = keccak256(item)
        for at in (0, 2, 4):
            assert bloom >> (int.from_bytes(digest[at : at + 2]) % 2048) & 1
    assert bloom.bit_count() <= 9


def test_a_bloom_of_very_many_items_rules_nothing_out() -> None:
    many = [Log(TOKEN, (number.to_bytes(32),), b"") for number in range(MAX_BLOOM_ITEMS)]
    assert make_bloom(many[:-1]) != b"\xff" * 256
    assert make_bloom(many) == b"\xff" * 256


@pytest.mark.parametrize(
    ("addresses", "topics", "count"),
    [
        (None, (), 3),
        (frozenset([TOKEN]), (), 2),
        (frozenset([OTHER]), (), 1),
        (frozenset([TOKEN, OTHER]), (), 3),
        (frozenset([b"\xdd" * 20]), (), 0),
        (None, (frozenset([TRANSFER]),), 2),
        (None, (None, frozenset([PERSON])), 2),
        (None, (frozenset([PERSON]),), 0),
        (None, (frozenset([PERSON, TRANSFER]), None), 2),
        # A place that is asked for must be there, even where any topic would do.
        (None, (None, None, None), 0),
        (None, (None,), 2),
    ],
)
def test_a_filter_takes_logs_by_address_and_topics(
    block: FinalBlock, addresses: Any, topics: tuple[Any, ...], count: int
) -> None:
    assert len(show_logs(block, LogFilter(addresses, topics))) == count


def test_a_quantity_has_no_leading_zeros() -> None:
    assert [quantity(0), quantity(1), quantity(256)] == ["0x0", "0x1", "0x100"]
