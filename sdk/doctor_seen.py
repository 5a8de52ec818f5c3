"""What the doctor sees of a node, and what it says: the observation and its findings. Nothing here reads a clock, file or socket."""

from __future__ import annotations

import enum

import msgspec

from node.wire.away import AwayCode


class Level(enum.StrEnum):
    """How much a finding asks for."""

    OK = "ok"
    NOTICE = "notice"
    ACTION = "action"


class Finding(msgspec.Struct, frozen=True):
    """One thing found, in both languages, and what to do about it (empty where there is nothing to do)."""

    level: Level
    code: str
    zh: str
    en: str
    todo_zh: str = ""
    todo_en: str = ""


class ValidatorSeen(msgspec.Struct, frozen=True):
    """One validator of the next height, in the order of the set, with its department's code and name."""

    name: str
    department: str


class PeerSeen(msgspec.Struct, frozen=True):
    """One peer as the node sees it; None where the node does not know."""

    name: str
    is_connected: bool
    reason: str = ""
    """Why it is away, in one English sentence."""
    reason_code: AwayCode | None = None
    height: int | None = None
    round: int | None = None
    clock_offset_ms: int | None = None
    """How far its clock is ahead of this node's."""
    heard_ms_ago: int | None = None
    software_version: str | None = None


class NodeSeen(msgspec.Struct, frozen=True):
    """What a running node answers of itself and its chain."""

    name: str
    genesis_hash: str
    height: int
    target_height: int
    head_time_ms: int
    round: int
    is_validator: bool
    is_voting: bool
    abstention: str
    voters: tuple[int, ...]
    """Indices of the validators whose vote in this height and round the node knows."""
    equivocations: int
    """Pairs of contradicting messages that it saw since it started."""
    validators: tuple[ValidatorSeen, ...]
    peers: tuple[PeerSeen, ...]
    software_version: str = ""
    is_stuck: bool = False
    """Whether it stayed in the midst of one height while it was watched for a while."""
    offenders: tuple[str, ...] = ()
    """Validators of now whose double signatures stand on the chain, with their departments, each once."""
    base_height: int = 0
    """Of the snapshot that it began from, 0 where it holds the whole history."""
    sync_percent: float = 100.0
    sync_trouble: str = ""
    """Why what it lacks does not come, in Chinese and English, or empty."""
    is_joining: bool = False
    """Whether it has no ledger of its own yet: it is joining by snapshot."""


class StoredSeen(msgspec.Struct, frozen=True):
    """What the folder of a stopped node holds; `fault` says why its ledger cannot be opened, or is empty."""

    height: int | None
    fault: str
    abstention: str
    """Why the node will not vote at once when it starts, or empty."""
    is_log_torn: bool
    taken_ports: tuple[str, ...]
    is_in_use: bool
    """Whether some process has the ledger open."""
    is_validator: bool = True
    """Whether the network waits for this node's votes."""
    base_height: int = 0
    """Of the snapshot that its ledger began from, 0 where it holds the whole history."""
    has_other_genesis: bool = False
    """Whether `fault` is that the ledger was begun with another genesis."""


class CertificateSeen(msgspec.Struct, frozen=True):
    """A certificate that the node's standing among its peers hangs on."""

    name: str
    not_after_ms: int


class FileFault(msgspec.Struct, frozen=True):
    """A file that the node cannot use: what is wrong, in both languages."""

    code: str
    text: str


class Observation(msgspec.Struct, frozen=True):
    """All that was seen. Either `node` (it answers) or `stored` (its folder), or neither where both failed."""

    name: str
    now_ms: int
    genesis_hash: str
    empty_block_interval_ms: int
    timeout_limit_ms: int
    clock_precision_ms: int
    free_bytes: int
    total_bytes: int
    certificates: tuple[CertificateSeen, ...]
    file_faults: tuple[FileFault, ...]
    node: NodeSeen | None = None
    stored: StoredSeen | None = None
