"""Final blocks, transactions, receipts and logs in Ethereum's form, as web3.py, ethers, viem and cast read them (docs/spec/json-rpc.md).

Quantities are hex digits without leading zeros; a block's hash is its block id, a transaction's hash its id. What Ethereum has
and this chain has not stands as zeros: no coin, no fee, no uncles, no withdrawals, no blobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, overload

import msgspec

from contracts.abi import decode_error, keccak256
from contracts.call import Log
from contracts.records import ADDRESSES
from node.chain.block import Header, Receipt, SealedBlock, block_id
from node.chain.codec import decode_trusted, encode
from node.chain.transaction import Transaction, TransactionBody, address_of, transaction_id
from node.ledger.ledger import CommittedBlock

BLOOM_BYTES: Final = 256
MAX_BLOOM_ITEMS: Final = 2_048
"""Distinct addresses and topics past which a bloom is all ones: it would hardly rule anything out, and each costs a Keccak-256."""
EMPTY_UNCLES_HASH: Final = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
"""Keccak-256 of an empty RLP list."""
LEGACY_TYPE: Final = "0x0"
ZERO: Final = "0x0"

_ZERO_HASH: Final = "0x" + "00" * 32
_ZERO_NONCE: Final = "0x" + "00" * 8
_HIDDEN_ADDRESSES: Final = frozenset({ADDRESSES["audits"]})
_LEGACY_V: Final = 35
"""EIP-155: v is 35 + 2 * chain id + parity."""


class FinalTransaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction of a final block."""

    raw: bytes
    id: bytes
    """transaction_id(body), 32 bytes: its hash in Ethereum's interfaces."""
    sender: bytes
    """20-byte address of the sender's key."""
    body: TransactionBody


class FinalBlock(msgspec.Struct, frozen=True, gc=False):
    """A final block with what its execution gave: what every form here is made from."""

    header: Header
    block_id: bytes
    transactions: Sequence[FinalTransaction]
    receipts: Sequence[Receipt]


def committed_block(block: CommittedBlock) -> FinalBlock:
    """Return a block that has just become final."""
    transactions = tuple(FinalTransaction(one.raw, one.id, one.sender, one.body) for one in block.transactions)
    return FinalBlock(block.header, block.block_id, transactions, block.receipts)


def stored_block(sealed: SealedBlock, receipts: Sequence[Receipt]) -> FinalBlock:
    """Return a block that was read from the ledger."""
    return FinalBlock(sealed.header, block_id(sealed.header), _Stored(sealed.body.transactions), receipts)


class _Stored(Sequence[FinalTransaction]):
    """Transactions as the ledger has them, each decoded when it is asked for: mostly one of thousands is."""

    def __init__(self, raws: Sequence[bytes]) -> None:
        self._raws = raws

    def __len__(self) -> int:
        return len(self._raws)

    @overload
    def __getitem__(self, index: int) -> FinalTransaction: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FinalTransaction]: ...

    def __getitem__(self, index: int | slice) -> FinalTransaction | Sequence[FinalTransaction]:
        if isinstance(index, slice):
            return _Stored(self._raws[index])
        raw = self._raws[index]
        body = decode_trusted(raw, Transaction).body
        return FinalTransaction(raw, transaction_id(body), address_of(body.sender_key), body)


def quantity(value: int) -> str:
    """Return a number as Ethereum's interfaces write it."""
    return hex(value)


def hex_data(value: bytes) -> str:
    """Return bytes as Ethereum's interfaces write them."""
    return "0x" + value.hex()


def is_hidden_log(log: Log) -> bool:
    """Return whether a log is of an audit, which auditors and parties alone may read, over signed requests."""
    return log.address in _HIDDEN_ADDRESSES


def is_hidden_call(body: TransactionBody) -> bool:
    """Return whether a transaction is part of an audit, so that its call data is left out here."""
    return body.to in _HIDDEN_ADDRESSES


# Blocks.


def show_block(block: FinalBlock, gas_limit: int, *, is_full: bool) -> dict[str, Any]:
    """Return a final block with its transactions, as objects where `is_full`, else as their hashes."""
    if is_full:
        transactions: list[Any] = [show_transaction(block, index) for index in range(len(block.transactions))]
    else:
        transactions = [hex_data(one.id) for one in block.transactions]
    size = len(encode(block.header)) + sum(len(one.raw) for one in block.transactions)
    return {
        **show_header(block, gas_limit),
        "size": quantity(size),
        "totalDifficulty": ZERO,
        "transactions": transactions,
        "uncles": [],
        "withdrawals": [],
    }


def show_header(block: FinalBlock, gas_limit: int) -> dict[str, Any]:
    """Return a final block without its transactions, as a subscription to new heads tells of it."""
    header = block.header
    return {
        "number": quantity(header.height),
        "hash": hex_data(block.block_id),
        "parentHash": hex_data(header.parent_id),
        "miner": hex_data(header.proposer),
        "extraData": "0x",
        "logsBloom": hex_data(make_bloom(log for receipt in block.receipts for log in receipt.logs)),
        "transactionsRoot": hex_data(header.transactions_root),
        "receiptsRoot": hex_data(header.receipts_root),
        "stateRoot": hex_data(header.state_root),
        "gasLimit": quantity(gas_limit),
        "gasUsed": quantity(sum(receipt.gas_used for receipt in block.receipts)),
        "timestamp": quantity(header.time_ms // 1_000),
        "timeMs": quantity(header.time_ms),
        **_absent_fields(),
    }


def show_genesis(genesis_hash: bytes, time_ms: int, gas_limit: int) -> dict[str, Any]:
    """Return what stands for block 0, which this chain has not: its hash is the genesis hash, its roots are zeros."""
    return {
        "number": ZERO,
        "hash": hex_data(genesis_hash),
        "parentHash": _ZERO_HASH,
        "miner": "0x" + "00" * 20,
        "extraData": "0x",
        "logsBloom": hex_data(bytes(BLOOM_BYTES)),
        "transactionsRoot": _ZERO_HASH,
        "receiptsRoot": _ZERO_HASH,
        "stateRoot": _ZERO_HASH,
        "gasLimit": quantity(gas_limit),
        "gasUsed": ZERO,
        "timestamp": quantity(time_ms // 1_000),
        "timeMs": quantity(time_ms),
        **_absent_fields(),
        "size": ZERO,
        "totalDifficulty": ZERO,
        "transactions": [],
        "uncles": [],
        "withdrawals": [],
    }


def _absent_fields() -> dict[str, Any]:
    """Return the fields of Ethereum's headers that mean nothing on this chain."""
    return {
        "sha3Uncles": EMPTY_UNCLES_HASH,
        "nonce": _ZERO_NONCE,
        "mixHash": _ZERO_HASH,
        "difficulty": ZERO,
        "baseFeePerGas": ZERO,
        "withdrawalsRoot": _ZERO_HASH,
        "blobGasUsed": ZERO,
        "excessBlobGas": ZERO,
        "parentBeaconBlockRoot": _ZERO_HASH,
    }


# Transactions and receipts.


def show_transaction(block: FinalBlock, index: int) -> dict[str, Any]:
    """Return one transaction of a final block.

    v, r and s are stand-ins that clients can parse: the real signature is SM2's, in `sm2Signature`, by the key in `publicKey`.
    """
    transaction = block.transactions[index]
    body = transaction.body
    is_hidden = is_hidden_call(body)
    return {
        "hash": hex_data(transaction.id),
        "blockHash": hex_data(block.block_id),
        "blockNumber": quantity(block.header.height),
        "blockTimestamp": quantity(block.header.time_ms // 1_000),
        "transactionIndex": quantity(index),
        "type": LEGACY_TYPE,
        "chainId": quantity(body.chain_id),
        "nonce": quantity(block.receipts[index].sender_nonce),
        "from": hex_data(transaction.sender),
        "to": None if body.to is None else hex_data(body.to),
        "value": ZERO,
        "gas": quantity(body.gas_limit),
        "gasPrice": ZERO,
        "input": "0x" if is_hidden else hex_data(body.data),
        "v": quantity(_LEGACY_V + 2 * body.chain_id),
        "r": "0x1",
        "s": "0x1",
        "publicKey": hex_data(body.sender_key),
        "sm2Signature": hex_data(decode_trusted(transaction.raw, Transaction).signature),
        "randomNonce": hex_data(body.nonce),
        "validUntilMs": quantity(body.valid_until_ms),
        "isRestricted": is_hidden,
    }


def show_receipts(block: FinalBlock) -> list[dict[str, Any]]:
    """Return the receipts of a final block, in the order of its transactions."""
    return [_show_receipt(block, *place) for place in _places(block)]


def show_receipt(block: FinalBlock, index: int) -> dict[str, Any]:
    """Return the receipt of one transaction of a final block."""
    gas_before = sum(receipt.gas_used for receipt in block.receipts[:index])
    first_log = sum(len(receipt.logs) for receipt in block.receipts[:index])
    return _show_receipt(block, index, gas_before, first_log)


def _places(block: FinalBlock) -> Iterator[tuple[int, int, int]]:
    """Yield each transaction's index, the gas that those before it used, and the index in the block of its first log."""
    gas, first_log = 0, 0
    for index, receipt in enumerate(block.receipts):
        yield index, gas, first_log
        gas += receipt.gas_used
        first_log += len(receipt.logs)


def _show_receipt(block: FinalBlock, index: int, gas_before: int, first_log: int) -> dict[str, Any]:
    transaction, receipt = block.transactions[index], block.receipts[index]
    body = transaction.body
    created = receipt.output if body.to is None and receipt.refusal is None else None
    return {
        "transactionHash": hex_data(transaction.id),
        "transactionIndex": quantity(index),
        "blockHash": hex_data(block.block_id),
        "blockNumber": quantity(block.header.height),
        "type": LEGACY_TYPE,
        "status": "0x1" if receipt.refusal is None else "0x0",
        "from": hex_data(transaction.sender),
        "to": None if body.to is None else hex_data(body.to),
        "contractAddress": None if created is None else hex_data(created),
        "gasUsed": quantity(receipt.gas_used),
        "cumulativeGasUsed": quantity(gas_before + receipt.gas_used),
        "effectiveGasPrice": ZERO,
        "logs": _show_logs(block, index, first_log),
        "logsBloom": hex_data(make_bloom(receipt.logs)),
        "refusal": _show_refusal(receipt, is_hidden=is_hidden_call(body)),
        "isRestricted": is_hidden_call(body),
    }


def _show_refusal(receipt: Receipt, *, is_hidden: bool) -> dict[str, Any] | None:
    """Return why a transaction was refused: its name, its text, and the data that the contract gave; None on success."""
    if receipt.refusal is None:
        return None
    # A message repeats what it was given.
    if is_hidden:
        return {"code": receipt.refusal, "message": None, "data": None}
    return {"code": receipt.refusal, "message": decode_error(receipt.output), "data": hex_data(receipt.output)}


# Logs.


class LogFilter(msgspec.Struct, frozen=True):
    """Which logs somebody asks for: of one of the addresses, with one of the topics in each place; None is any."""

    addresses: frozenset[bytes] | None
    topics: tuple[frozenset[bytes] | None, ...]

    def matches(self, log: Log) -> bool:
        """Return whether a log is asked for; one of an audit never is."""
        if is_hidden_log(log) or (self.addresses is not None and log.address not in self.addresses):
            return False
        if len(log.topics) < len(self.topics):
            return False
        return all(wanted is None or found in wanted for wanted, found in zip(self.topics, log.topics, strict=False))


ANY_LOG: Final = LogFilter(None, ())


def show_logs(block: FinalBlock, wanted: LogFilter = ANY_LOG) -> list[dict[str, Any]]:
    """Return the logs of a final block that a filter takes, in their order."""
    return [log for index, _, first_log in _places(block) for log in _show_logs(block, index, first_log, wanted)]


def _show_logs(block: FinalBlock, index: int, first_log: int, wanted: LogFilter = ANY_LOG) -> list[dict[str, Any]]:
    logs = enumerate(block.receipts[index].logs, first_log)
    return [show_log(block, index, number, log) for number, log in logs if wanted.matches(log)]


def show_log(block: FinalBlock, index: int, number: int, log: Log) -> dict[str, Any]:
    """Return one log of a final block: of the transaction at `index`, the block's log number `number`."""
    return {
        "address": hex_data(log.address),
        "topics": [hex_data(topic) for topic in log.topics],
        "data": hex_data(log.data),
        "blockNumber": quantity(block.header.height),
        "blockHash": hex_data(block.block_id),
        "blockTimestamp": quantity(block.header.time_ms // 1_000),
        "transactionHash": hex_data(block.transactions[index].id),
        "transactionIndex": quantity(index),
        "logIndex": quantity(number),
        "removed": False,
    }


def make_bloom(logs: Iterable[Log]) -> bytes:
    """Return the 256-byte bloom over addresses and topics of what is shown of the logs (yellow paper, 4.3.1)."""
    items = {item for log in logs if not is_hidden_log(log) for item in (log.address, *log.topics)}
    if len(items) > MAX_BLOOM_ITEMS:
        return b"\xff" * BLOOM_BYTES
    bloom = 0
    for item in items:
        digest = keccak256(item)
        for at in (0, 2, 4):
            bloom |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 0x7FF)
    return bloom.to_bytes(BLOOM_BYTES, "big")
