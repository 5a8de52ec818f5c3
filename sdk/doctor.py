"""What ails a node or its chain: findings in plain words from what was seen of it. Nothing here reads a clock, file or socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.wire.away import IN_CHINESE
from sdk.doctor_peers import BEHIND_HEIGHTS, away_peers, connected_peers, missing_validators, name_validators
from sdk.doctor_seen import CertificateSeen, Finding, Level, NodeSeen, Observation, StoredSeen, ValidatorSeen

MIN_FREE_BYTES: Final = 1_000_000_000
LOW_FREE_PERCENT: Final = 10
DAY_MS: Final = 86_400_000
RENEW_NOW_DAYS: Final = 30
RENEW_SOON_DAYS: Final = 90
STALLED_ROUNDS: Final = 4
"""So many rounds without a decision are more than a slow or absent proposer."""


_FILE_ADVICE: Final = {
    "PASSWORD_UNUSABLE": (
        "把口令文件放回原处，属主为节点用户，权限 0600",
        "put the password file back, owned by the node's user, mode 0600",
    ),
    "VALIDATOR_KEY_UNUSABLE": (
        "从离线备份取回密钥文件与口令（权限 0600）；若已失去，请治理方移除该共识节点，以新节点重新加入",
        "bring key file and password back from the offline backup (mode 0600); if they are lost, have a governor remove this "
        "validator and join anew as another node",
    ),
    "TRANSPORT_KEY_UNUSABLE": (
        "从离线备份取回传输密钥与证书，或由部门机构换发一对",
        "bring transport key and certificate back from the offline backup, or have the department's authority issue new ones",
    ),
    "CERTIFICATE_UNUSABLE": (
        "从备份取回节点证书，或由部门机构换发，然后重启节点",
        "bring the node's certificate back from the backup, or have the department's authority issue a new one, then restart",
    ),
    "REGISTERED_OTHERWISE": (
        "请治理方撤回该候选（或移除该共识节点），再按证书中的名称与部门登记",
        "have a governor withdraw the candidate, or remove the validator, and add it by the name and department in the certificate",
    ),
    "DATA_NOT_WRITABLE": (
        "以节点用户的身份执行本命令；若仍如此，把数据文件夹的属主改为节点用户，并检查磁盘是否只读",
        "run this command as the node's user; if it remains, make that user the owner of the data folder, and check that the "
        "disk is not read-only",
    ),
}
"""What to do about a file that the node cannot use, in both languages, by the fault's code."""


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
    missing = missing_validators(node)
    quorum = 2 * len(node.validators) // 3 + 1
    present = len(node.validators) - len(missing)
    age_ms = max(seen.now_ms - node.head_time_ms, 0)
    limit_ms = 2 * seen.empty_block_interval_ms + 2 * seen.timeout_limit_ms
    has_quorum = present >= quorum
    # Of a node that is behind, the last block is old though the chain moves.
    is_behind = node.is_joining or node.target_height > node.height + BEHIND_HEIGHTS
    is_standing = node.is_stuck or age_ms > limit_ms or node.round >= STALLED_ROUNDS
    is_stalled = not has_quorum or (is_standing and not is_behind)
    if not has_quorum:
        yield _no_quorum(node, missing, quorum)
    elif is_stalled:
        yield Finding(
            Level.ACTION,
            "CHAIN_STALLED",
            f"高度 {node.height} 之后 {age_ms // 1_000} 秒没有新区块，当前轮次 {node.round}",
            f"no block for {age_ms // 1_000} s after height {node.height}, now in round {node.round}",
            "看下面各项：谁缺席、谁不投票、谁的时钟不同",
            "see the findings below: who is away, who does not vote, whose clock differs",
        )
    elif not is_standing:
        yield Finding(
            Level.OK,
            "CHAIN_MOVES",
            f"链在前进：高度 {node.height}，{'最新区块' if node.height else '创世'}在 {age_ms // 1_000} 秒前",
            f"the chain moves: height {node.height}, {'the last block' if node.height else 'genesis'} {age_ms // 1_000} s ago",
        )
    yield from away_peers(node, is_stalled=is_stalled)
    yield from _self(node, is_stalled=is_stalled)
    yield from connected_peers(seen, node, is_stalled=is_stalled, has_quorum=has_quorum)


def _no_quorum(node: NodeSeen, missing: list[ValidatorSeen], quorum: int) -> Finding:
    """Tell that too few are here; where nobody is, it is rather this node that is cut off."""
    count = len(node.validators)
    if len(missing) == count - node.is_validator:
        away = {validator.name for validator in missing}
        reasons = {peer.reason_code for peer in node.peers if peer.name in away}
        same = reasons.pop() if len(reasons) == 1 else None
        zh, en = (
            ("", "") if same is None else (f"（原因都是：{IN_CHINESE[same]}）", f" (each for the same reason, {same})")
        )
        return Finding(
            Level.ACTION,
            "ALONE",
            f"本节点没有连上 {len(missing)} 个共识节点中的任何一个{zh}；网络本身可能仍在前进",
            f"this node has reached none of {len(missing)} validators{en}; the network itself may well go on",
            "先查本机：网络与防火墙、时钟、证书、genesis.json、node.toml 中的地址；再看下面各项",
            "look at this machine first: network and firewall, clock, certificate, genesis.json, addresses in node.toml; "
            "then at the findings below",
        )
    names = name_validators(missing)
    return Finding(
        Level.ACTION,
        "QUORUM_MISSING",
        f"从本节点看链无法前进：{count} 个共识节点只有 {count - len(missing)} 个在，需要 {quorum} 个；缺少 {names}",
        f"the chain cannot move, as seen from here: {count - len(missing)} of {count} validators are here, "
        f"{quorum} are needed; missing: {names}",
        "请这些部门恢复各自的节点，原因见下面各项；够数后链自行继续，不要删除数据",
        "have these departments bring their nodes back, the findings below say why each is away; the chain goes on by "
        "itself once enough are here; delete no data",
    )


def _self(node: NodeSeen, *, is_stalled: bool) -> Iterator[Finding]:
    """Tell what this node itself is short of."""
    yield from _progress(node)
    if node.is_validator and not node.is_voting:
        zh, en = _halves(node.abstention or "本节点在追赶，暂不投票 / catching up")
        yield Finding(
            Level.ACTION if is_stalled else Level.NOTICE,
            "ABSTAINING",
            f"本节点弃权，因为不能确定自己签过什么（{zh}）" if node.abstention else zh,
            f"this node abstains: {en}",
            "网络越过相关高度后自行恢复投票；若链不前进，先让其他共识节点回来，都回来仍不前进时见操作手册的 govnode node override",
            "it votes again by itself when the network has passed that height; if the chain stands, bring the others back first; "
            "if it still stands, the operating guide tells of govnode node override",
        )
    if node.equivocations or node.offenders:
        names = "、".join(node.offenders)
        yield Finding(
            Level.ACTION,
            "EQUIVOCATION",
            f"有共识密钥在同一处签了两次：{names}（已记入账本）"
            if names
            else f"看到 {node.equivocations} 次重复签名：有共识密钥在同一处签了两次，证据尚未记入账本",
            f"a validator's key signed twice in one place: {names} (on the chain)"
            if names
            else f"{node.equivocations} double signatures were seen: a validator's key signed twice in one place; not on the chain yet",
            "查清该密钥是否被两个进程或旧备份使用、是否失窃；必要时由治理方移除该共识节点（页面 /consensus 列出证据）",
            "find out whether two processes or an old backup use that key, or a thief; have a governor remove that validator "
            "if need be (the page /consensus lists the evidence)",
        )


def _progress(node: NodeSeen) -> Iterator[Finding]:
    """Tell how far a node has come that lacks blocks or joins, why it does not go on, and from where on it holds history."""
    if node.is_joining or node.target_height > node.height + BEHIND_HEIGHTS:
        percent = int(node.sync_percent)
        zh, en = "正在以快照加入网络", "joining by snapshot"
        if not node.is_joining:
            zh = f"正在追赶：高度 {node.height}，网络在 {node.target_height}"
            en = f"catching up: height {node.height}, the network is at {node.target_height}"
        yield Finding(
            Level.NOTICE,
            "JOINING" if node.is_joining else "CATCHING_UP",
            f"{zh}（{percent}%）",
            f"{en} ({percent} %)",
            "等待；可用 govnode status --watch 观察",
            "wait; govnode status --watch shows it",
        )
    if node.sync_trouble:
        zh, en = _halves(node.sync_trouble)
        yield Finding(
            Level.ACTION,
            "SYNC_HELD_UP",
            f"所缺的内容取不到：{zh}",
            f"what this node lacks does not come: {en}",
            "让一个保存全部历史的节点（状态中 base_height 为 0）上线并与本节点相连；或以快照加入，见操作手册",
            "have a node with the whole history (base_height 0 in its status) up and connected to this one; or join by snapshot, "
            "see the operating guide",
        )
    if node.base_height:
        yield _partial_history(node.base_height)


def _partial_history(base_height: int) -> Finding:
    return Finding(
        Level.OK,
        "PARTIAL_HISTORY",
        f"本节点自高度 {base_height} 的快照开始，保存其后的历史；请确认网络中另有保存全部历史的节点",
        f"this node began from a snapshot of height {base_height} and holds history from there on; "
        "make sure that others hold all of it",
    )


def _stopped(stored: StoredSeen) -> Iterator[Finding]:
    if stored.is_in_use:
        yield Finding(
            Level.ACTION,
            "NODE_DOES_NOT_ANSWER",
            "有进程正在使用账本，但 HTTP 端口没有应答",
            "a process has the ledger open, but its HTTP port does not answer",
            "若刚刚启动或机器很忙，稍候再试；若另一命令正在核验账本，等它结束；否则看日志，进程已无反应的重新启动",
            "if it has just been started, or the machine is busy, look again in a while; if another command checks the ledger, let "
            "it end; else read the log, and restart the process if it hangs",
        )
        return
    if stored.fault:
        zh, en = "账本无法打开", "its ledger cannot be opened"
    elif stored.height is None:
        zh, en = "还没有账本", "it has no ledger yet"
    else:
        zh, en = f"账本到高度 {stored.height}", f"its ledger ends at height {stored.height}"
    yield Finding(
        # Others wait for a validator; where several are stopped, the chain does.
        Level.ACTION if stored.is_validator else Level.NOTICE,
        "NODE_STOPPED",
        f"节点没有运行；{zh}",
        f"the node does not run; {en}",
        "处理好其他各项后启动：govnode start --config node.toml，或 systemctl start govnode",
        "when the other findings are dealt with, start it: govnode start --config node.toml, or systemctl start govnode",
    )
    if stored.fault:
        yield _unusable_ledger(stored)
    if stored.base_height:
        yield _partial_history(stored.base_height)
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
        zh, en = _halves(stored.abstention)
        yield Finding(
            Level.NOTICE,
            "WILL_ABSTAIN",
            f"启动后先弃权：{zh}",
            f"it will abstain at first: {en}",
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


def _unusable_ledger(stored: StoredSeen) -> Finding:
    zh, en = _halves(stored.fault)
    if stored.has_other_genesis:
        return Finding(
            Level.ACTION,
            "LEDGER_OF_ANOTHER_NETWORK",
            f"账本无法打开：{zh}",
            f"the ledger cannot be opened: {en}",
            "账本没有坏，不要删除：换回原来的 genesis.json",
            "the ledger is whole, do not delete it: put the former genesis.json back",
        )
    return Finding(
        Level.ACTION,
        "LEDGER_UNUSABLE",
        f"账本无法打开：{zh}",
        f"the ledger cannot be opened: {en}",
        "检查磁盘；只移走 data/ledger 后启动，区块会重新取回（保留 last-signed 与 consensus.log）",
        "check the disk; move data/ledger alone away and start, blocks are fetched again (keep last-signed and consensus.log)",
    )


def _files(seen: Observation) -> Iterator[Finding]:
    """Tell what the machine under the node is short of."""
    for fault in seen.file_faults:
        zh, en = _halves(fault.text)
        yield Finding(
            Level.ACTION,
            fault.code,
            zh,
            en,
            *_FILE_ADVICE[fault.code],
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


def _halves(text: str) -> tuple[str, str]:
    """Return the Chinese and the English of a text that a node gives in both; the whole for either where it is in one."""
    zh, _, en = text.partition(" / ")
    return zh, en or zh
