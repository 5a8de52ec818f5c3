"""The shapes of REST answers, for the OpenAPI document; bytes are 0x and hex, times are ms since 1970 UTC."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")


class Words(BaseModel):
    """A text in Chinese and in English."""

    zh: str
    en: str


class Problem(BaseModel):
    """Why a request was not answered (RFC 9457); `code` is for programs, zh and en for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    zh: str
    en: str
    field: str | None = None
    expected: str | None = None
    found: str | None = None


class Page(BaseModel, Generic[T]):
    """One page of a list: ask again with `cursor` set to next_cursor, until that is null."""

    items: list[T]
    next_cursor: str | None


class ChainPage(Page[T], Generic[T]):
    """One page of a list of blocks or transactions, which a node that joined by a snapshot holds from a height on."""

    from_height: int = Field(description="本节点列出的最低高度 / the lowest height that this node lists")
    notice: Words | None = Field(description="不是从第一个区块起时的说明 / told where that is not the first block")


class Peer(BaseModel):
    """A peer, listed in node.toml or admitted without, and whether this node is connected to it."""

    name: str
    address: str
    is_listed: bool
    is_connected: bool
    is_inbound: bool
    reason: str
    reason_code: str | None = Field(
        description="离线原因的代码，已连接时为 null / why it is away, for programs; null while it is connected"
    )
    height: int | None
    round: int | None
    step: str | None
    clock_offset_ms: int | None
    heard_ms_ago: int | None
    software_version: str | None


class Status(BaseModel):
    """Where a node stands; more members may follow."""

    node_name: str
    software_version: str
    network_name: str
    chain_id: int
    genesis_hash: str
    height: int
    base_height: int = Field(
        description="所用快照的高度，0 为保存全部历史 / of the snapshot it began from; 0: whole history"
    )
    first_block: int = Field(description="保存的最低区块 / the lowest block that it holds")
    head_id: str
    head_time_ms: int
    validator_count: int
    away_validators: list[str] = Field(description="未连接的共识节点 / validators that this node is not connected to")
    awaited_validators: list[str] = Field(
        description="高度进行中、本轮尚无其投票的共识节点 / validators whose votes of the round under way are not here"
    )
    target_height: int
    sync_percent: float
    peers: list[Peer]


class Validator(BaseModel):
    """A voting member of the next height."""

    index: int
    address: str
    public_key: str
    name: str | None
    department: str | None
    department_name: str | None


class Offence(BaseModel):
    """A validator signed two values in one height and round; two proposals of one block differ in their proof-of-lock rounds."""

    address: str
    name: str = Field(description="当时的节点名 / its name at that height")
    department: str
    department_name: str
    height: int
    round: int
    kind: Literal["proposal", "prevote", "precommit"]
    kind_text: Words
    first_value: str | None = Field(description="所签的区块标识，空票为 null / the block id signed; null for nil")
    second_value: str | None
    included_height: int = Field(description="载有证据的区块 / the block that carries the evidence")
    included_ms: int
    included_block: str
    number: int = Field(description="该节点第几次被记录 / which recorded offence of this validator")


class SetMember(BaseModel):
    """A validator that joined or left."""

    address: str
    name: str
    department: str
    department_name: str


class ValidatorSetChange(BaseModel):
    """A validator set: number 0 is the founding one, of which all members joined."""

    number: int
    first_height: int = Field(description="自此高度起表决 / the first height that it decides")
    validator_count: int
    joined: list[SetMember]
    left: list[SetMember]


class BlockHeader(BaseModel):
    """A final block's header, with what its certificate and body hold in number."""

    id: str
    version: int
    height: int
    parent_id: str
    history_root: str
    time_ms: int
    proposer: str
    transactions_root: str
    receipts_root: str
    state_root: str
    validators_hash: str
    next_validators_hash: str
    parameters_hash: str
    evidence_root: str
    round: int
    signers: list[int] = Field(description="在该高度共识节点表中的序号 / indices into the validators of this height")
    transaction_count: int


class Block(BlockHeader):
    """A final block: header, commit certificate, ids of its transactions."""

    signatures: list[str]
    transactions: list[str]
    evidence_count: int


class Event(BaseModel):
    """One event; contract, event and fields are null where no system contract declared it."""

    address: str
    topics: list[str]
    data: str
    contract: str | None
    event: str | None
    fields: dict[str, Any] | None


class Receipt(BaseModel):
    """What became of a final transaction; refusal and message are null on success."""

    id: str = Field(
        description="交易标识，各接口都以它查询（以太坊接口称 hash） / what every interface finds it by (Ethereum's call it hash)"
    )
    height: int
    index: int
    time_ms: int
    block_id: str
    gas_used: int
    evm_contract: str | None = Field(
        description="所调用或新部署的 EVM 合约地址 / address of the EVM contract that it called or created"
    )
    refusal: str | None
    message: str | None
    is_restricted: bool = Field(
        description="审计事项：内容仅审计方和当事部门可见 / content is for auditors and parties"
    )
    output: str | None
    events: list[Event] | None


class Transaction(Receipt):
    """A final transaction with its call decoded, and its receipt."""

    signed_hash: str = Field(
        description="全部字节（含签名）的摘要，交易根由它们算出，不用于查询 / "
        "digest of all its bytes, signature included, of which the transaction root is made; no lookup takes it"
    )
    sender: str
    sender_name: str | None
    department: str | None
    to: str | None
    valid_until_ms: int
    gas_limit: int
    contract: str | None
    method: str | None
    selector: str | None = Field(
        description="不是系统合约时，调用数据的前 4 字节 / first 4 bytes of call data that is not for a system contract"
    )
    arguments: dict[str, Any] | None
    raw: str | None = Field(None, description="列表中不给出 / left out of lists")


class Contract(BaseModel):
    """An EVM contract; frozen_ms is 0 and reason empty when it is not frozen."""

    address: str
    deployer: str = Field(
        description="部署交易的账户，合约由另一合约创建时亦然 / of the transaction, also where a contract created it"
    )
    deployer_name: str | None
    department: str
    department_name: str
    code_hash: str = Field(description="代码的 Keccak-256 / Keccak-256 of the code")
    code_size: int
    height: int
    deployed_ms: int
    is_frozen: bool
    frozen_ms: int
    reason: str
    transaction_count: int | None = Field(
        description="调用它的交易数，含部署；本节点没有其全部历史时为 null / "
        "transactions that called or created it; null where this node lacks part of its history"
    )


class Rejection(BaseModel):
    """Why a node did not take a transaction."""

    code: str
    zh: str
    en: str


class Submitted(BaseModel):
    """A transaction that the node has taken; it is final once it has a receipt."""

    id: str | None
    rejection: Rejection | None


class Department(BaseModel):
    """A department; suspended_ms is 0 when it is active."""

    code: str
    name: str
    region: str
    level: str
    parent: str
    suspended_ms: int
    joined_ms: int
    is_active: bool
    level_text: Words


class StatusInterval(BaseModel):
    """From when a certificate had a status, by which operation and operator, and why."""

    status: str
    effect: int
    from_ms: int
    operation: str
    reason: str
    operator: str
    status_text: Words


class Certificate(BaseModel):
    """A certificate as the ledger records it; `status` is the newest code, whatever the validity period says.

    `history` has the latest statuses; `page_count` pages of earlier ones are records of their own on the ledger.
    """

    identifier: str
    type_code: str
    type_name: str | None
    issuer: str
    issuer_name: str
    document_digest: str
    holder_commitment: str
    valid_from_ms: int
    valid_to_ms: int
    validity_text: Words
    predecessor: str
    successor: str
    recipient: str
    status: str
    issued_ms: int
    page_count: int
    history: list[StatusInterval]


class RequestInterval(BaseModel):
    """From when a request was in a state, by whom, and why."""

    state: str
    from_ms: int
    reason: str
    operator: str
    department: str
    reason_code: str
    checked_ms: int


class ItemMask(BaseModel):
    """What is hidden of one item: characters from `start` on, `length` of them; or all but those."""

    item: str
    kind: str
    start: int
    length: int


class GrantConditions(BaseModel):
    """What a grant allows; 0 and empty lists stand for no limit, an empty `passing_on_to` for nobody."""

    columns: list[str]
    masks: list[ItemMask]
    max_reads_per_day: int
    max_rows_per_day: int
    max_rows_per_read: int
    place: str
    note: str
    passing_on_to: list[str]


class DataRequest(BaseModel):
    """A request for data, and the grant it became; `is_in_force` speaks as of the latest block."""

    id: str
    resource: str
    provider: str
    provider_name: str
    consumer: str
    consumer_name: str
    purpose: str
    legal_basis: str
    items: list[str]
    case_types: list[str]
    rows_per_day: int
    from_ms: int
    to_ms: int
    conditions: GrantConditions
    previous: str
    renewal: str
    checked_ms: int
    supplied_ms: int
    corrections: int
    disputes: int
    recalls: int
    state: str
    state_text: Words
    requested_ms: int
    is_in_force: bool
    history: list[RequestInterval]


class Anchor(BaseModel):
    """A digest that a department anchored; `count` is 0 for a single digest, else the leaves under the root."""

    digest: str
    department: str
    department_name: str
    account: str
    label: str
    count: int
    anchored_ms: int


class ProvenRecord(BaseModel):
    """The record that a proof file speaks of; value and fields are null in a proof of absence."""

    kind: str
    key: str
    value: str | None
    fields: dict[str, Any] | None


class ProofFile(BaseModel):
    """A proof file (docs/spec/proof-file.md), to be checked with `govnode verify`; bytes are hex without 0x."""

    format: str
    version: int
    record: ProvenRecord
    state: dict[str, Any]
    header: dict[str, Any]
    certificate: dict[str, Any]
    validators: list[dict[str, Any]]
    walk: list[dict[str, Any]]
