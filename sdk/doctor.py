"""What ails a node or its chain: findings in plain words from what was seen of it. Nothing here reads a clock, file or socket."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

MIN_FREE_BYTES: Final = 1_000_000_000
LOW_FREE_PERCENT: Final = 10
DAY_MS: Final = 86_400_000
RENEW_NOW_DAYS: Final = 30
RENEW_SOON_DAYS: Final = 90
BEHIND_HEIGHTS: Final = 3
SILENT_MS: Final = 10_000


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
    validators: tuple[ValidatorSeen, ...]
    peers: tuple[PeerSeen, ...]
    software_version: str = ""


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


# What a peer's `reason` says, as the handshake words it: fragment, code, what to do.
_DIFFERENCES: Final = (
    (
        "its genesis is",
        "PEER_GENESIS_DIFFERS",
        "两边比对 genesis.json 的哈希，换上正确的文件",
        "compare the hash of genesis.json on both, put the right one in place",
    ),
    (
        "its chain parameters",
        "PEER_PARAMETERS_DIFFER",
        "两边安装同一版本；不同的一方移走 data/ledger 后重新取块",
        "install the same release on both; the one that differs moves data/ledger away and fetches it anew",
    ),
    (
        "its block at height",
        "PEER_CHAIN_DIFFERS",
        "用 govnode ledger check 核验两边的账本；有损坏的一方移走 data/ledger",
        "run govnode ledger check on both; the damaged one moves data/ledger away",
    ),
    ("protocol version", "PEER_VERSION_DIFFERS", "两边安装同一版本", "install the same release on both"),
    (
        "certificate",
        "PEER_CERTIFICATE_REFUSED",
        "检查该节点的证书、有效期与部门，必要时换发",
        "check that node's certificate, its validity and department; issue a new one",
    ),
)


def diagnose(seen: Observation) -> list[Finding]:
    """Return what was found, the most pressing first; at least one finding."""
    findings: list[Finding] = []
    if seen.node is not None:
        findings += _running(seen, seen.node)
    elif seen.stored is not None:
        findings += _stopped(seen.stored)
    findings += _files(seen)
    order = (Level.ACTION, Level.NOTICE, Level.OK)
    return sorted(findings, key=lambda finding: order.index(finding.level))


def _running(seen: Observation, node: NodeSeen) -> Iterator[Finding]:
    if node.name != seen.name:
        yield Finding(
            Level.ACTION,
            "ANOTHER_NODE_ANSWERS",
            f"在本节点的 HTTP 地址应答的是 {node.name}，不是 {seen.name}",
            f"{node.name} answers at this node's HTTP address, not {seen.name}",
            "检查 node.toml 的 http_listen",
            "check http_listen in node.toml",
        )
    if node.genesis_hash != seen.genesis_hash:
        yield Finding(
            Level.ACTION,
            "GENESIS_DIFFERS",
            f"节点运行的创世是 {node.genesis_hash}，genesis.json 是 {seen.genesis_hash}",
            f"the node runs on genesis {node.genesis_hash}, genesis.json is {seen.genesis_hash}",
            "换回原来的 genesis.json，否则节点下次无法启动",
            "put the former genesis.json back, or the node cannot start again",
        )
    missing = _missing(node)
    quorum = 2 * len(node.validators) // 3 + 1
    present = len(node.validators) - len(missing)
    age_ms = seen.now_ms - node.head_time_ms
    is_stalled = age_ms > 2 * seen.empty_block_interval_ms + 2 * seen.timeout_limit_ms
    if present < quorum:
        names = _names([validator for validator, _ in missing])
        yield Finding(
            Level.ACTION,
            "QUORUM_MISSING",
            f"链不前进：{len(node.validators)} 个共识节点只有 {present} 个在，需要 {quorum} 个；缺少 {names}",
            f"the chain does not move: {present} of {len(node.validators)} validators are here, {quorum} are needed; "
            f"missing: {names}",
            "请这些部门启动各自的节点；够数后链自行恢复",
            "have these departments start their nodes; the chain goes on by itself when there are enough",
        )
    elif is_stalled:
        yield Finding(
            Level.ACTION,
            "CHAIN_STALLED",
            f"高度 {node.height} 之后 {age_ms // 1_000} 秒没有新区块，当前轮次 {node.round}",
            f"no block for {age_ms // 1_000} s after height {node.height}, now in round {node.round}",
            "看下面各项：谁缺席、谁的轮次或时钟不同",
            "see the other findings: who is away, whose round or clock differs",
        )
    else:
        yield Finding(
            Level.OK,
            "CHAIN_MOVES",
            f"链在前进：高度 {node.height}，最新区块在 {max(age_ms, 0) // 1_000} 秒前",
            f"the chain moves: height {node.height}, the last block {max(age_ms, 0) // 1_000} s ago",
        )
    needs_them = present < quorum or is_stalled
    yield from (_away(validator, peer, needed=needs_them) for validator, peer in missing)
    yield from _differing_peers(node)
    yield from _self(node, is_stalled=needs_them)
    yield from _connected_peers(seen, node, is_stalled=is_stalled)


def _missing(node: NodeSeen) -> list[tuple[ValidatorSeen, PeerSeen | None]]:
    """Return the validators that are neither this node nor connected to it, with what it knows of them."""
    peers = {peer.name: peer for peer in node.peers}
    return [
        (validator, peers.get(validator.name))
        for validator in node.validators
        if validator.name != node.name and not ((peer := peers.get(validator.name)) and peer.is_connected)
    ]


def _away(validator: ValidatorSeen, peer: PeerSeen | None, *, needed: bool) -> Finding:
    who = f"{validator.name}（{validator.department}）"
    reason = peer.reason if peer is not None else "not among the peers of node.toml"
    return Finding(
        Level.ACTION if needed else Level.NOTICE,
        "VALIDATOR_AWAY",
        f"共识节点 {who} 未连接：{reason}",
        f"validator {validator.name} ({validator.department}) is not connected: {reason}",
        "请该部门确认节点在运行、p2p 地址与防火墙正确",
        "have that department check that its node runs, and its p2p address and firewall",
    )


def _differing_peers(node: NodeSeen) -> Iterator[Finding]:
    for peer in node.peers:
        found = next((entry for entry in _DIFFERENCES if not peer.is_connected and entry[0] in peer.reason), None)
        if found is not None:
            _, code, todo_zh, todo_en = found
            text = f"{peer.name}: {peer.reason}"
            yield Finding(Level.ACTION, code, f"对等节点不符：{text}", f"a peer differs: {text}", todo_zh, todo_en)


def _self(node: NodeSeen, *, is_stalled: bool) -> Iterator[Finding]:
    """Tell what this node itself is short of."""
    if node.target_height > node.height + BEHIND_HEIGHTS:
        percent = 100 * node.height // node.target_height
        yield Finding(
            Level.NOTICE,
            "CATCHING_UP",
            f"正在追赶：高度 {node.height}，网络在 {node.target_height}（{percent}%）",
            f"catching up: height {node.height}, the network is at {node.target_height} ({percent} %)",
            "等待；可用 govnode status --watch 观察",
            "wait; govnode status --watch shows it",
        )
    if node.is_validator and not node.is_voting:
        reason = node.abstention or "catching up"
        yield Finding(
            Level.ACTION if is_stalled else Level.NOTICE,
            "ABSTAINING",
            f"本节点弃权：{reason}",
            f"this node abstains: {reason}",
            "网络越过相关高度后自行恢复投票；若链不前进，先让其他共识节点回来",
            "it votes again by itself when the network has passed that height; if the chain stands, bring the others back first",
        )
    if node.equivocations:
        yield Finding(
            Level.ACTION,
            "EQUIVOCATION",
            f"看到 {node.equivocations} 次重复投票：有共识密钥在同一处签了两次",
            f"{node.equivocations} double votes were seen: a validator's key signed twice in one place",
            "查清是谁的密钥、是否有两个进程或旧备份在用它",
            "find out whose key it is, and whether two processes or an old backup use it",
        )


def _connected_peers(seen: Observation, node: NodeSeen, *, is_stalled: bool) -> Iterator[Finding]:
    connected = [peer for peer in node.peers if peer.is_connected]
    offsets = [(peer, peer.clock_offset_ms) for peer in connected if peer.clock_offset_ms is not None]
    wrong = [(peer, offset) for peer, offset in offsets if abs(offset) > seen.clock_precision_ms]
    # One wrong clock is its owner's; the same difference to most of them is ours.
    if len(wrong) > 1 and 2 * len(wrong) > len(offsets):
        middle = sorted(offset for _, offset in wrong)[len(wrong) // 2]
        yield Finding(
            Level.ACTION,
            "OWN_CLOCK_WRONG",
            f"本机时钟与 {len(wrong)} 个节点相差约 {middle} 毫秒",
            f"this machine's clock differs from {len(wrong)} nodes' by about {middle} ms",
            "检查 NTP（如 chronyc tracking）",
            "check NTP (for instance chronyc tracking)",
        )
    else:
        for peer, offset in wrong:
            yield Finding(
                Level.ACTION,
                "PEER_CLOCK_WRONG",
                f"{peer.name} 的时钟与本机相差 {offset} 毫秒，超过 {seen.clock_precision_ms} 毫秒，它提的块会被否决",
                f"the clock of {peer.name} is {offset} ms from this machine's, more than {seen.clock_precision_ms} ms: "
                "its blocks are voted down",
                "请该部门检查 NTP",
                "have that department check NTP",
            )
    for peer in connected:
        yield from _connected_peer(node, peer, is_stalled=is_stalled)
    if is_stalled:
        names = {peer.name for peer in connected}
        silent = [
            validator
            for index, validator in enumerate(node.validators)
            if validator.name in names and index not in node.voters
        ]
        if silent:
            yield Finding(
                Level.ACTION,
                "VALIDATORS_SILENT",
                f"已连接但本轮没有投票：{_names(silent)}",
                f"connected, but no vote in this round: {_names(silent)}",
                "在这些节点上运行 govnode doctor",
                "run govnode doctor on these nodes",
            )


def _connected_peer(node: NodeSeen, peer: PeerSeen, *, is_stalled: bool) -> Iterator[Finding]:
    if peer.height is not None and peer.height + BEHIND_HEIGHTS < node.height:
        yield Finding(
            Level.NOTICE,
            "PEER_BEHIND",
            f"{peer.name} 落后：高度 {peer.height}，本节点 {node.height}",
            f"{peer.name} is behind: height {peer.height}, this node {node.height}",
        )
    if is_stalled and peer.round is not None and peer.height == node.height and peer.round != node.round:
        yield Finding(
            Level.NOTICE,
            "PEER_IN_ANOTHER_ROUND",
            f"{peer.name} 在第 {peer.round} 轮，本节点在第 {node.round} 轮",
            f"{peer.name} is in round {peer.round}, this node in round {node.round}",
            "够数的节点在线时轮次会自行对齐",
            "rounds meet by themselves when enough nodes are up",
        )
    if peer.heard_ms_ago is not None and peer.heard_ms_ago > SILENT_MS:
        yield Finding(
            Level.NOTICE,
            "PEER_SILENT",
            f"{peer.name} 已连接，但 {peer.heard_ms_ago // 1_000} 秒没有消息",
            f"{peer.name} is connected, but was not heard for {peer.heard_ms_ago // 1_000} s",
            "该节点可能被挂起或网络阻塞",
            "that node may be suspended, or the network between blocked",
        )
    if peer.software_version and node.software_version and peer.software_version != node.software_version:
        yield Finding(
            Level.NOTICE,
            "PEER_RELEASE_DIFFERS",
            f"{peer.name} 的软件版本是 {peer.software_version}，本节点 {node.software_version}",
            f"{peer.name} runs release {peer.software_version}, this node {node.software_version}",
        )


def _stopped(stored: StoredSeen) -> Iterator[Finding]:
    if stored.is_in_use:
        yield Finding(
            Level.ACTION,
            "NODE_DOES_NOT_ANSWER",
            "有进程正在使用账本，但 HTTP 端口没有应答",
            "a process has the ledger open, but its HTTP port does not answer",
            "看日志；若进程已无反应，重新启动它；若另一命令正在核验账本，等它结束",
            "read the log; restart the process if it hangs; if another command checks the ledger, let it end",
        )
        return
    yield Finding(
        Level.NOTICE,
        "NODE_STOPPED",
        f"节点没有运行；账本高度 {stored.height}" if stored.height is not None else "节点没有运行，也没有账本",
        f"the node does not run; its ledger ends at height {stored.height}"
        if stored.height is not None
        else "the node does not run, and has no ledger",
        "启动：govnode start --config node.toml",
        "start it: govnode start --config node.toml",
    )
    if stored.fault:
        zh, _, en = stored.fault.partition(" / ")
        yield Finding(
            Level.ACTION,
            "LEDGER_UNUSABLE",
            f"账本无法打开：{zh}",
            f"the ledger cannot be opened: {en or zh}",
            "检查磁盘与 genesis.json；只移走 data/ledger 后启动，区块会重新取回（保留 last-signed 与 consensus.log）",
            "check the disk and genesis.json; move data/ledger alone away and start, blocks are fetched again "
            "(keep last-signed and consensus.log)",
        )
    for address in stored.taken_ports:
        yield Finding(
            Level.ACTION,
            "PORT_UNUSABLE",
            f"无法监听 {address}",
            f"cannot listen on {address}",
            "停止占用它的进程（ss -ltnp），或改 node.toml 的地址",
            "stop the process that has it (ss -ltnp), or change the address in node.toml",
        )
    if stored.abstention:
        yield Finding(
            Level.NOTICE,
            "WILL_ABSTAIN",
            f"启动后先弃权：{stored.abstention}",
            f"it will abstain at first: {stored.abstention}",
            "直接启动即可：网络越过相关高度后自行恢复投票；切勿从备份恢复 last-signed",
            "just start it: it votes again when the network has passed that height; never restore last-signed from a backup",
        )
    if stored.is_log_torn:
        yield Finding(
            Level.OK,
            "LOG_TAIL_CUT",
            "共识日志末尾有一条未写完的记录，启动时会截去",
            "the consensus log ends in an unfinished record, which the start cuts off",
        )


def _files(seen: Observation) -> Iterator[Finding]:
    """Tell what the machine under the node is short of."""
    for fault in seen.file_faults:
        zh, _, en = fault.text.partition(" / ")
        yield Finding(
            Level.ACTION,
            fault.code,
            zh,
            en or zh,
            "改正后再启动节点",
            "put it right before the node is started again",
        )
    percent = 100 * seen.free_bytes // max(seen.total_bytes, 1)
    if seen.free_bytes < MIN_FREE_BYTES or percent < LOW_FREE_PERCENT:
        yield Finding(
            Level.ACTION if seen.free_bytes < MIN_FREE_BYTES else Level.NOTICE,
            "DISK_LOW",
            f"数据盘只剩 {seen.free_bytes // 1_000_000} MB（{percent}%）",
            f"{seen.free_bytes // 1_000_000} MB are left on the data disk ({percent} %)",
            "腾出空间或扩容；盘满时节点会停止",
            "make room or enlarge it; the node stops when it is full",
        )
    for certificate in seen.certificates:
        yield from _expiry(certificate, seen.now_ms)


def _expiry(certificate: CertificateSeen, now_ms: int) -> Iterator[Finding]:
    days = (certificate.not_after_ms - now_ms) // DAY_MS
    if days >= RENEW_SOON_DAYS:
        return
    has_expired = certificate.not_after_ms <= now_ms
    yield Finding(
        Level.ACTION if days < RENEW_NOW_DAYS else Level.NOTICE,
        "CERTIFICATE_EXPIRED" if has_expired else "CERTIFICATE_EXPIRES",
        f"证书 {certificate.name} " + ("已过期，其他节点会拒绝连接" if has_expired else f"还有 {days} 天到期"),
        f"the certificate {certificate.name} "
        + ("has run out: peers refuse it" if has_expired else f"runs out in {days} days"),
        "换发证书后重启节点（见 docs/operating.zh-CN.md）",
        "issue a new one and restart the node (see docs/operating.md)",
    )


def _names(validators: Sequence[ValidatorSeen]) -> str:
    return ", ".join(f"{validator.name} ({validator.department})" for validator in validators)
