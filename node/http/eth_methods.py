"""The eth_*, net_* and web3_* methods that Ethereum's clients call; what takes time is read in the reading process."""

from __future__ import annotations

import time
from typing import Any, Final, NoReturn

from contracts import registry
from contracts.abi import keccak256
from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.driver.txpool import RejectionCode
from node.http.eth_form import (
    hex_data,
    is_hidden_call,
    quantity,
    show_receipt,
    show_transaction,
)
from node.http.eth_parameters import (
    EARLIEST,
    LATEST,
    PENDING,
    TAGS,
    BlockTag,
    parse_address,
    parse_block,
    parse_block_hash,
    parse_call,
    parse_flag,
    parse_hash,
    parse_log_query,
    parse_quantity,
    parse_slot,
)
from node.http.eth_reads import (
    AccountRead,
    BlockRead,
    CallRead,
    CountRead,
    LogsRead,
    PlaceRead,
    ProofRead,
    ReceiptsRead,
    show_account,
)
from node.http.method_reads import MAX_LOGS_HERE, Method, Reads
from node.http.presentation import find_final, show_submitted
from node.http.rpc_fault import (
    METHOD_NOT_SUPPORTED,
    TRANSACTION_REJECTED,
    UNKNOWN_HEIGHT,
    RpcFault,
    parse_bytes,
    restricted_fault,
    wrong_parameter,
)
from node.release import SOFTWARE_VERSION
from node.view import BEHIND_HEIGHTS

CLIENT_VERSION: Final = f"govnode/{SOFTWARE_VERSION}"
MAX_FEE_BLOCKS: Final = 1_024
MAX_FEE_PERCENTILES: Final = 100
MAX_PROOF_SLOTS: Final = 32
MAX_HASHED_BYTES: Final = 1024 * 1024

_ZERO: Final = "0x0"
_TRANSACTION_TYPES: Final = range(1, 5)
"""First bytes of Ethereum's typed transactions (EIP-2930, 1559, 4844, 7702); an RLP list follows, and is all that older ones are."""
_LONG_LIST_FIRST_BYTE: Final = 0xF8
"""Of an RLP list of more than 55 bytes, as signed transactions are."""


# The chain and the node.


async def _chain_id(reads: Reads) -> str:
    """Return the chain id."""
    return quantity(reads.ledger.genesis.chain_id)


async def _network_version(reads: Reads) -> str:
    """Return the chain id in decimal digits."""
    return str(reads.ledger.genesis.chain_id)


async def _block_number(reads: Reads) -> str:
    """Return the height of the latest final block."""
    return quantity(reads.ledger.height)


async def _client_version(reads: Reads) -> str:
    """Return the node's software and release."""
    return CLIENT_VERSION


async def _listening(reads: Reads) -> bool:
    """Return true: a node always takes connections of its peers."""
    return True


async def _peer_count(reads: Reads) -> str:
    """Return how many configured peers are connected."""
    return quantity(sum(peer.is_connected for peer in reads.view.peers()))


async def _syncing(reads: Reads) -> Any:
    """Return false, or how far this node is behind the network."""
    status = reads.view.status()
    if status.target_height <= status.height + BEHIND_HEIGHTS:
        return False
    return {
        "startingBlock": quantity(reads.ledger.base_height),
        "currentBlock": quantity(status.height),
        "highestBlock": quantity(status.target_height),
    }


async def _accounts(reads: Reads) -> list[str]:
    """Return no accounts: a node holds no keys of its clients."""
    return []


async def _zero(reads: Reads) -> str:
    """Return zero: there is no coin here, and so no fee."""
    return _ZERO


async def _false(reads: Reads) -> bool:
    """Return false: nobody mines here."""
    return False


async def _keccak(reads: Reads, data: Any) -> str:
    """Return the Keccak-256 of bytes."""
    return hex_data(keccak256(parse_bytes(data, "data", MAX_HASHED_BYTES)))


async def _fee_history(reads: Reads, count: Any, newest: Any, percentiles: Any = None) -> Any:
    """Return zeros for the last blocks up to `newest`: nobody pays for gas here."""
    wanted = parse_quantity(count, "count")
    if not 1 <= wanted <= MAX_FEE_BLOCKS:
        raise wrong_parameter("count", f"1 至 {MAX_FEE_BLOCKS}", f"1 to {MAX_FEE_BLOCKS}", count)
    if percentiles is not None and (not isinstance(percentiles, list) or len(percentiles) > MAX_FEE_PERCENTILES):
        zh, en = f"至多 {MAX_FEE_PERCENTILES} 项的列表", f"a list of at most {MAX_FEE_PERCENTILES}"
        raise wrong_parameter("percentiles", zh, en, percentiles)
    last = _height(reads, parse_block(newest, "newest"))
    blocks = min(wanted, last + 1)
    shown: dict[str, Any] = {
        "oldestBlock": quantity(last + 1 - blocks),
        "baseFeePerGas": [_ZERO] * (blocks + 1),
        "gasUsedRatio": [0.0] * blocks,
        "baseFeePerBlobGas": [_ZERO] * (blocks + 1),
        "blobGasUsedRatio": [0.0] * blocks,
    }
    return shown if percentiles is None else {**shown, "reward": [[_ZERO] * len(percentiles)] * blocks}


# Blocks, transactions, receipts, logs.


async def _block_by_number(reads: Reads, block: Any, full: Any = False) -> Any:
    """Return a final block, with its transactions or with their hashes; None when there is none of this number."""
    return await reads.read(BlockRead(parse_block(block), parse_flag(full, "full")))


async def _block_by_hash(reads: Reads, block_hash: Any, full: Any = False) -> Any:
    """Return the final block with this id, None when there is none."""
    return await reads.read(BlockRead(parse_block_hash(block_hash, "block_hash"), parse_flag(full, "full")))


async def _block_receipts(reads: Reads, block: Any) -> Any:
    """Return the receipts of a final block, None when there is none; a block's hash may stand for it."""
    return await reads.read(ReceiptsRead(_block_or_hash(block)))


async def _transaction_count_by_number(reads: Reads, block: Any) -> Any:
    """Return how many transactions a final block holds, None when there is none of this number."""
    return await reads.read(CountRead(parse_block(block)))


async def _transaction_count_by_hash(reads: Reads, block_hash: Any) -> Any:
    """Return how many transactions a final block holds, None when there is none of this hash."""
    return await reads.read(CountRead(parse_block_hash(block_hash, "block_hash")))


async def _transaction_by_number_and_index(reads: Reads, block: Any, index: Any) -> Any:
    """Return the transaction at a place in a final block, None when there is none."""
    return await reads.read(PlaceRead(parse_block(block), parse_quantity(index, "index")))


async def _transaction_by_hash_and_index(reads: Reads, block_hash: Any, index: Any) -> Any:
    """Return the transaction at a place in a final block, None when there is none."""
    return await reads.read(PlaceRead(parse_block_hash(block_hash, "block_hash"), parse_quantity(index, "index")))


async def _uncle_count(reads: Reads, block: Any) -> str:
    """Return zero: a final block has no uncles."""
    _block_or_hash(block)
    return _ZERO


async def _transaction_by_hash(reads: Reads, transaction_hash: Any) -> Any:
    """Return a final transaction, None when none is final so far."""
    place = _find(reads, transaction_hash)
    return None if place is None else show_transaction(reads.blocks.load(place[0]), place[1])


async def _raw_transaction(reads: Reads, transaction_hash: Any) -> Any:
    """Return the bytes of a final transaction, as they were sent; None when none is final so far."""
    place = _find(reads, transaction_hash)
    if place is None:
        return None
    transaction = reads.blocks.load(place[0]).transactions[place[1]]
    if is_hidden_call(transaction.body):
        raise restricted_fault()
    return hex_data(transaction.raw)


async def _receipt(reads: Reads, transaction_hash: Any) -> Any:
    """Return the receipt of a final transaction, None when none is final so far."""
    place = _find(reads, transaction_hash)
    if place is None:
        return None
    height, index = place
    block = reads.blocks.load(height)
    if len(block.receipts[index].logs) > MAX_LOGS_HERE:
        return await reads.read(PlaceRead(height, index, is_receipt=True))
    return show_receipt(block, index)


async def _logs(reads: Reads, filter: Any) -> Any:  # noqa: A002 - the name that clients give by name
    """Return the logs that a filter asks for, in their order."""
    return await reads.read(LogsRead(parse_log_query(filter)))


# States and calls.


async def _call(reads: Reads, transaction: Any, block: Any = LATEST) -> Any:
    """Return what a call answers, run over the state after a block and then undone; with "pending" as in the next block."""
    tag = parse_block(block)
    return await reads.read(CallRead(parse_call(transaction), tag, False, _clock_ms() if tag == PENDING else None))


async def _estimate_gas(reads: Reads, transaction: Any, block: Any = LATEST) -> Any:
    """Return a gas limit with which a call succeeds in the next block, or over the state after an earlier one."""
    tag = parse_block(block)
    is_next = tag in TAGS and tag != EARLIEST
    return await reads.read(CallRead(parse_call(transaction), tag, True, _clock_ms() if is_next else None))


async def _balance(reads: Reads, address: Any, block: Any = LATEST) -> str:
    """Return zero: there is no coin here."""
    parse_address(address, "address")
    _height(reads, parse_block(block))
    return _ZERO


async def _code(reads: Reads, address: Any, block: Any = LATEST) -> Any:
    """Return the code of a contract, empty where there is none."""
    return await _account(reads, AccountRead("code", parse_address(address, "address"), parse_block(block)))


async def _storage_at(reads: Reads, address: Any, slot: Any, block: Any = LATEST) -> Any:
    """Return 32 bytes: what a contract keeps in a storage slot."""
    place = parse_slot(slot, "slot").to_bytes(32)
    return await _account(reads, AccountRead("storage", parse_address(address, "address"), parse_block(block), place))


async def _nonce(reads: Reads, address: Any, block: Any = LATEST) -> Any:
    """Return how many transactions of an address final blocks hold, or a contract's nonce."""
    return await _account(reads, AccountRead("count", parse_address(address, "address"), parse_block(block)))


async def _account(reads: Reads, asked: AccountRead) -> Any:
    # The latest value is one look into the database; an earlier one takes a walk down an earlier tree.
    if asked.block in TAGS and asked.block != EARLIEST:
        return show_account(reads.ledger.state(), asked)
    return await reads.read(asked)


async def _contract_proof(reads: Reads, address: Any, slots: Any = None, block: Any = LATEST) -> Any:
    """Return record proofs of a contract's account and of storage slots: what eth_getProof is for on a Keccak tree."""
    contract = parse_address(address, "address")
    if contract in registry.BY_ADDRESS:
        zh, en = (
            "EVM 合约的地址（系统合约的记录用 gov_getProof）",
            "an EVM contract (gov_getProof proves a system contract's records)",
        )
        raise wrong_parameter("address", zh, en, address)
    wanted = [] if slots is None else slots
    if not isinstance(wanted, list) or len(wanted) > MAX_PROOF_SLOTS:
        raise wrong_parameter(
            "slots", f"至多 {MAX_PROOF_SLOTS} 项的列表", f"a list of at most {MAX_PROOF_SLOTS}", slots
        )
    numbers = [parse_slot(slot, f"slots[{at}]") for at, slot in enumerate(wanted)]
    return await reads.read(ProofRead(contract, [number.to_bytes(32) for number in numbers], parse_block(block)))


# Sending.


async def _send_raw_transaction(reads: Reads, transaction: Any) -> str:
    """Take one transaction that the sdk signed; return its hash, or fail with the reason for which it was not taken."""
    with reads.view.stages.measure("http"):
        raw = parse_bytes(transaction, "transaction", MAX_TRANSACTION_BYTES)
    is_typed = bool(raw) and raw[0] in _TRANSACTION_TYPES
    if raw[is_typed : is_typed + 1] >= bytes([_LONG_LIST_FIRST_BYTE]):
        zh = "这是以太坊签名的交易；本链的交易用 SM2 签名，请用 sdk 的 Sm2Account 签名"
        en = "this transaction is signed Ethereum's way; here they are signed with SM2: sign it with the sdk's Sm2Account"
        raise RpcFault(TRANSACTION_REJECTED, zh, en, {"code": "MALFORMED"})
    shown = show_submitted((await reads.view.submit([raw]))[0])
    rejection = shown["rejection"]
    if shown["id"] is None and rejection["code"] == RejectionCode.MALFORMED:
        zh = f"不是 sdk 以 SM2 签名的交易（共 {len(raw)} 字节）：{rejection['zh']}"
        en = f"not a transaction that the sdk signed with SM2 ({len(raw)} bytes): {rejection['en']}"
        raise RpcFault(TRANSACTION_REJECTED, zh, en, {"code": "MALFORMED"})
    if rejection is not None:
        raise RpcFault(TRANSACTION_REJECTED, rejection["zh"], rejection["en"], {"code": rejection["code"]})
    return str(shown["id"])


def _unsupported(zh: str, en: str) -> Method:
    """Return a method that says why there is none; it takes whatever clients give it."""

    async def refuse(
        reads: Reads, first: Any = None, second: Any = None, third: Any = None, fourth: Any = None
    ) -> NoReturn:
        raise RpcFault(METHOD_NOT_SUPPORTED, zh, en, {"code": "METHOD_NOT_SUPPORTED"})

    refuse.__doc__ = f"Fail: {en}."
    return refuse


_NEEDS_KEY: Final = _unsupported(
    "节点不保管客户的密钥：请用 sdk 的 Sm2Account 签名后以 eth_sendRawTransaction 发送",
    "a node holds no keys of its clients: sign with the sdk's Sm2Account and send by eth_sendRawTransaction",
)
_NO_KECCAK_PROOF: Final = _unsupported(
    "本链的状态是 SM3 状态树，不是 Keccak 树：请用 gov_getContractProof 或 gov_getProof",
    "the state here is one SM3 tree, not Keccak tries: use gov_getContractProof or gov_getProof",
)


def _clock_ms() -> int:
    """Return the time by this node's clock: what the next block's time is about."""
    return time.time_ns() // 1_000_000


# Parameters.


def _height(reads: Reads, tag: BlockTag) -> int:
    """Return the height of a block that there has to be; raise RpcFault, HistoryNotHeld."""
    ledger = reads.ledger
    if tag in TAGS:
        return 0 if tag == EARLIEST else ledger.height
    height = None
    if isinstance(tag, int):
        height = tag if tag <= ledger.height else None
    else:
        identifier = bytes.fromhex(tag)
        height = 0 if identifier == ledger.genesis.hash else ledger.find_block(identifier)
        if height is None and ledger.missing_history is not None:
            raise ledger.missing_history
    if height is None:
        zh, en = f"没有该区块，最新的是 {ledger.height}", f"block not found, the latest is {ledger.height}"
        raise RpcFault(UNKNOWN_HEIGHT, zh, en, {"code": "UNKNOWN_BLOCK"})
    return height


def _block_or_hash(value: Any) -> BlockTag:
    is_hash = isinstance(value, str) and len(value) == 66  # 0x and 32 bytes
    return parse_block_hash(value, "block") if is_hash else parse_block(value)


def _find(reads: Reads, transaction_hash: Any) -> tuple[int, int] | None:
    return find_final(reads.view, parse_hash(transaction_hash, "transaction_hash"))


ETH_METHODS: Final[dict[str, Method]] = {
    "web3_clientVersion": _client_version,
    "web3_sha3": _keccak,
    "net_version": _network_version,
    "net_listening": _listening,
    "net_peerCount": _peer_count,
    "eth_chainId": _chain_id,
    "eth_blockNumber": _block_number,
    "eth_syncing": _syncing,
    "eth_accounts": _accounts,
    "eth_mining": _false,
    "eth_hashrate": _zero,
    "eth_gasPrice": _zero,
    "eth_maxPriorityFeePerGas": _zero,
    "eth_blobBaseFee": _zero,
    "eth_feeHistory": _fee_history,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getBlockTransactionCountByNumber": _transaction_count_by_number,
    "eth_getBlockTransactionCountByHash": _transaction_count_by_hash,
    "eth_getTransactionByBlockNumberAndIndex": _transaction_by_number_and_index,
    "eth_getTransactionByBlockHashAndIndex": _transaction_by_hash_and_index,
    "eth_getUncleCountByBlockNumber": _uncle_count,
    "eth_getUncleCountByBlockHash": _uncle_count,
    "eth_getTransactionByHash": _transaction_by_hash,
    "eth_getRawTransactionByHash": _raw_transaction,
    "eth_getTransactionReceipt": _receipt,
    "eth_getLogs": _logs,
    "eth_call": _call,
    "eth_estimateGas": _estimate_gas,
    "eth_getBalance": _balance,
    "eth_getCode": _code,
    "eth_getStorageAt": _storage_at,
    "eth_getTransactionCount": _nonce,
    "eth_getProof": _NO_KECCAK_PROOF,
    "gov_getContractProof": _contract_proof,
    "eth_sendRawTransaction": _send_raw_transaction,
    "eth_sendTransaction": _NEEDS_KEY,
    "eth_signTransaction": _NEEDS_KEY,
    "eth_sign": _NEEDS_KEY,
}
"""Every method of this module by its name; its parameters are those of the function, by position or by name."""
