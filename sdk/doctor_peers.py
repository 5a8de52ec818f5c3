"""What the doctor says of the other nodes: who is away and why, who differs, is behind, silent, or has a wrong clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from node.wire.away import IN_CHINESE, AwayCode
from sdk.doctor_seen import Finding, Level, NodeSeen, Observation, PeerSeen, ValidatorSeen

BEHIND_HEIGHTS: Final = 3
SILENT_MS: Final = 10_000


class _Advice(NamedTuple):
    """What a reason to be away is told as: the finding's code, and what to do."""

    code: str
    todo_zh: str
    todo_en: str


_ADVICE: Final = {
    AwayCode.NOT_REACHED: _Advice(
        "VALIDATOR_AWAY",
        "请该部门确认节点在运行、p2p 地址与防火墙正确",
        "have that department check that its node runs, and its p2p address and firewall",
    ),
    AwayCode.LOST: _Advice(
        "VALIDATOR_AWAY",
        "请该部门确认节点在运行；若在运行，在那里执行 govnode doctor：可能是它拒绝了本节点",
        "have that department check that its node runs; if it does, run govnode doctor there: it may refuse this node",
    ),
    AwayCode.RULE_BROKEN: _Advice(
        "PEER_DROPPED",
        "请该部门查看日志、核对软件版本；查明之前把它当作不可信的节点",
        "have that department read its log and compare releases; until it is explained, do not trust that node",
    ),
    AwayCode.TLS_FAILED: _Advice(
        "PEER_TLS_FAILED",
        "在两边各执行 govnode doctor，看谁的证书到期或不属于本网络，必要时换发",
        "run govnode doctor on both: one certificate has run out or is another network's; issue a new one",
    ),
    AwayCode.CERTIFICATE_REFUSED: _Advice(
        "PEER_CERTIFICATE_REFUSED",
        "检查该节点的证书与部门，以及 node.toml 中它的地址，必要时换发证书",
        "check that node's certificate and department, and its address in node.toml; issue a new certificate if need be",
    ),
    AwayCode.VERSION_DIFFERS: _Advice(
        "PEER_VERSION_DIFFERS",
        "两边安装同一版本",
        "install the same release on both",
    ),
    AwayCode.GENESIS_DIFFERS: _Advice(
        "PEER_GENESIS_DIFFERS",
        "两边比对 genesis.json 的哈希，换上正确的文件",
        "compare the hash of genesis.json on both, put the right one in place",
    ),
    AwayCode.PARAMETERS_DIFFER: _Advice(
        "PEER_PARAMETERS_DIFFER",
        "两边安装同一版本；不同的一方移走 data/ledger 后重新取块（保留 last-signed 与 consensus.log）",
        "install the same release on both; the one that differs moves data/ledger alone away and fetches it anew",
    ),
    AwayCode.CHAIN_DIFFERS: _Advice(
        "PEER_CHAIN_DIFFERS",
        "停下两边，用 govnode ledger check 核验各自的账本；有损坏的一方只移走 data/ledger",
        "stop both and run govnode ledger check on each; the damaged one moves data/ledger alone away",
    ),
}
_NOT_LISTED: Final = _Advice(
    "VALIDATOR_AWAY",
    "请该部门启动节点；把它写入 [[peers]] 后，本节点也会主动连接",
    "have that department start its node; once it is in [[peers]], this node dials it as well",
)
_WAITED_FOR: Final = frozenset({AwayCode.NOT_REACHED, AwayCode.LOST})
"""What mostly ends by itself, when the other node is back: it presses only where the chain waits for it."""


def missing_validators(node: NodeSeen) -> list[ValidatorSeen]:
    """Return the validators that are neither this node nor connected to it."""
    here = {node.name, *(peer.name for peer in node.peers if peer.is_connected)}
    away = [validator for validator in node.validators if validator.name not in here]
    return sorted(away, key=lambda validator: validator.name)


def name_validators(validators: Sequence[ValidatorSeen]) -> str:
    """Return validators by name with their departments, for a sentence."""
    return ", ".join(f"{validator.name} ({validator.department})" for validator in validators)


def away_peers(node: NodeSeen, *, is_stalled: bool) -> Iterator[Finding]:
    """Tell of every validator that is away and why, and of other listed nodes that differ."""
    peers = {peer.name: peer for peer in node.peers}
    validators = {validator.name for validator in node.validators}
    for validator in missing_validators(node):
        peer = peers.get(validator.name)
        code = AwayCode.LOST if peer is None or peer.reason_code is None else peer.reason_code
        advice = _NOT_LISTED if peer is None else _ADVICE[code]
        presses = is_stalled or code not in _WAITED_FOR
        detail = "it is not in [[peers]] of node.toml and has not called" if peer is None else peer.reason
        zh = "不在 node.toml 的 [[peers]] 中，也没有连进来" if peer is None else f"{IN_CHINESE[code]}（{peer.reason}）"
        yield Finding(
            Level.ACTION if presses else Level.NOTICE,
            advice.code,
            f"共识节点 {validator.name}（{validator.department}）不在：{zh}",
            f"validator {validator.name} ({validator.department}) is away: {detail}",
            advice.todo_zh,
            advice.todo_en,
        )
    for peer in node.peers:
        if peer.is_connected or peer.name in validators or peer.reason_code in {None, *_WAITED_FOR}:
            continue
        assert peer.reason_code is not None
        advice = _ADVICE[peer.reason_code]
        yield Finding(
            Level.NOTICE,
            advice.code,
            f"观察节点 {peer.name} 不在：{IN_CHINESE[peer.reason_code]}（{peer.reason}）",
            f"observer {peer.name} is away: {peer.reason}",
            advice.todo_zh,
            advice.todo_en,
        )


def connected_peers(seen: Observation, node: NodeSeen, *, is_stalled: bool, has_quorum: bool) -> Iterator[Finding]:
    """Tell of clocks, and of peers that are here but behind, in another round, silent, or of another release."""
    connected = [peer for peer in node.peers if peer.is_connected]
    yield from _clocks(node, connected, seen.clock_precision_ms)
    for peer in connected:
        yield from _connected_peer(node, peer, is_stalled=is_stalled)
    # Without a quorum a height may not even have begun: then silence says nothing.
    if is_stalled and has_quorum:
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
                f"已连接但本轮没有投票：{name_validators(silent)}",
                f"connected, but no vote in this round: {name_validators(silent)}",
                "在这些节点上执行 govnode doctor：可能在弃权、追赶或没有写盘权限",
                "run govnode doctor on these nodes: they may abstain, be catching up, or be unable to write",
            )


def _clocks(node: NodeSeen, connected: Sequence[PeerSeen], precision_ms: int) -> Iterator[Finding]:
    offsets = [(peer, peer.clock_offset_ms) for peer in connected if peer.clock_offset_ms is not None]
    wrong = [(peer, offset) for peer, offset in offsets if abs(offset) > precision_ms]
    # One wrong clock is its owner's; the same difference to most of them is ours.
    if len(wrong) > 1 and 2 * len(wrong) > len(offsets):
        middle = sorted(offset for _, offset in wrong)[len(wrong) // 2]
        zh, en = ("慢", "slow") if middle > 0 else ("快", "fast")
        yield Finding(
            Level.ACTION,
            "OWN_CLOCK_WRONG",
            f"本机时钟比 {len(wrong)} 个节点{zh}约 {abs(middle)} 毫秒",
            f"this machine's clock is some {abs(middle)} ms {en} by {len(wrong)} nodes' clocks",
            "检查本机的 NTP（如 chronyc tracking）",
            "check NTP on this machine (for instance chronyc tracking)",
        )
        return
    validators = {validator.name for validator in node.validators}
    for peer, offset in wrong:
        zh, en = ("快", "fast") if offset > 0 else ("慢", "slow")
        is_validator = peer.name in validators
        yield Finding(
            Level.ACTION if is_validator else Level.NOTICE,
            "PEER_CLOCK_WRONG",
            f"{peer.name} 的时钟比本机{zh} {abs(offset)} 毫秒，允许 {precision_ms} 毫秒"
            + ("：它提议的区块可能被否决" if is_validator else ""),
            f"the clock of {peer.name} is {abs(offset)} ms {en} by this machine's, {precision_ms} ms are allowed"
            + (": its blocks may be voted down" if is_validator else ""),
            "请该部门检查 NTP",
            "have that department check NTP",
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
