"""Why the contracts of data sharing refuse a call: names, and texts in Chinese and English; part of contracts.refusals.REFUSALS."""

from __future__ import annotations

from typing import Final

DATA_SHARING_REFUSALS: Final[dict[str, tuple[str, str]]] = {
    # Encryption keys.
    "ENCRYPTION_KEY_USED": (
        "密钥 {found} 是或曾是加密密钥，每把密钥只用一次，请另行生成",
        "the key {found} is or was an encryption key, and each serves once: make a new one",
    ),
    "ENCRYPTION_KEY_UNSIGNED": (
        "加密密钥未就本链与部门 {found} 签名，请用 govnode exchange key 重新登记",
        "the encryption key has not signed for this chain and department {found}: register it with govnode exchange key",
    ),
    "ENCRYPTION_KEY_UNKNOWN": (
        "部门 {found} 没有登记此加密密钥，请其管理员执行 govnode exchange key",
        "department {found} has registered no such encryption key: its administrator does with govnode exchange key",
    ),
    # Catalogue.
    "RESOURCE_CODE_MALFORMED": (
        "资源代码应为分类码/顺序码，实际 {found}",
        "a resource code is class digits, a slash and a number, found {found}",
    ),
    "RESOURCE_EXISTS": ("资源 {found} 已发布", "resource {found} is published already"),
    "RESOURCE_UNKNOWN": ("目录中没有资源 {found}", "there is no resource {found} in the catalogue"),
    "RESOURCE_WITHDRAWN": ("资源 {found} 已撤回", "resource {found} has been withdrawn"),
    "BASIS_MISSING": (
        "不予共享或有条件共享须说明依据或条件",
        "conditional or no sharing must state its basis or condition",
    ),
    # Requests and grants.
    "OWN_RESOURCE": (
        "资源 {found} 属于本部门，无需申请",
        "resource {found} is the department's own and needs no request",
    ),
    "NOT_SHARED": ("资源 {found} 不予共享", "resource {found} is not shared"),
    "ITEM_UNKNOWN": ("资源没有名为 {found} 的数据项", "the resource has no item called {found}"),
    "REQUEST_EXISTS": ("申请 {found} 已存在", "request {found} exists already"),
    "REQUEST_UNKNOWN": ("没有编号为 {found} 的申请", "there is no request {found}"),
    "REQUEST_STATE": (
        "申请状态为 {found}，此操作需要 {expected}",
        "the request is {found}, this needs it to be {expected}",
    ),
    "PERIOD_OVER": ("期限 {found} 已过", "the period ended at {found}"),
    "PERIOD_EXCEEDED": (
        "授权期限 {found} 超出申请期限 {limit}",
        "the grant would end at {found}, after the requested {limit}",
    ),
    "NOT_A_PARTY": (
        "部门 {found} 不是该授权的提供方或使用方",
        "department {found} is neither provider nor consumer of the grant",
    ),
    # Access records.
    "GRANT_NOT_IN_FORCE": ("读取时授权 {found} 不在有效期内", "grant {found} was not in force at the time of the read"),
    "READ_IN_FUTURE": ("读取时间 {found} 晚于区块时间 {limit}", "the read at {found} lies after block time {limit}"),
    "NUMBER_GAP": ("记录序号应为 {expected}，实际 {found}", "the record's number must be {expected}, found {found}"),
    "RECORD_REWRITTEN": (
        "序号 {found} 的记录已存在且内容不同",
        "record {found} of this stream exists with other content",
    ),
    "PREVIOUS_DIGEST_MISMATCH": (
        "前一记录的摘要应为 {expected}，实际 {found}",
        "the previous record's digest is {expected}, found {found}",
    ),
    "STREAM_UNKNOWN": (
        "账户 {found} 没有访问记录流，请先声明",
        "account {found} has no stream of access records; declare it first",
    ),
    "STREAM_ENDED": (
        "账户 {found} 的访问记录流已于 {since} 结束，请重新声明",
        "the stream of account {found} ended at {since}; declare it again to go on",
    ),
    "BATCH_GAP": ("批次序号应为 {expected}，实际 {found}", "the batch's number must be {expected}, found {found}"),
    "BATCH_REWRITTEN": (
        "序号 {found} 的批次已存在且内容不同",
        "batch {found} of this stream exists with other content",
    ),
    "BATCH_NUMBER_UNKNOWN": ("访问记录流没有序号为 {found} 的批次", "the stream has no batch {found}"),
    "COVERAGE_GAP": (
        "批次应从 {expected} 起，实际 {found}",
        "the batch must cover from {expected} on, where the one before ended, found {found}",
    ),
    "BATCH_IN_FUTURE": (
        "批次止于 {found}，晚于区块时间 {limit}",
        "the batch ends at {found}, after block time {limit}",
    ),
    "BATCH_OUTCOMES": (
        "各类结果之和应为 {expected}，实际 {found}",
        "the outcomes must add up to {expected}, found {found}",
    ),
    "HEARTBEAT_NOT_EMPTY": (
        "空批次 {found} 的根、末条摘要与行数须与没有读取相符",
        "batch {found} has no reads: its root, last digest and rows must say so",
    ),
    "BATCH_WITHOUT_READS": (
        "批次 {found} 的根或末条摘要与没有读取时相同",
        "batch {found} counts reads but has the root or last digest of none",
    ),
    "RECORD_UNKNOWN": ("没有序号为 {found} 的访问记录", "there is no access record {found}"),
    # Audits.
    "RULE_MALFORMED": (
        "规则代码应为 3 至 32 位大写字母、数字或下划线，实际 {found}",
        "a rule's code is 3 to 32 capital letters, digits and underscores, found {found}",
    ),
    "NUMBERS_REVERSED": (
        "末序号 {last} 小于首序号 {first}",
        "the last number, {last}, is below the first, {first}",
    ),
    "QUERY_UNKNOWN": ("没有编号为 {found} 的审计查询", "there is no audit query {found}"),
    "FINDING_EXISTS": ("本部门已提出该审计发现 {found}", "the department has raised finding {found} already"),
    "FINDING_UNKNOWN": ("没有编号为 {found} 的审计发现", "there is no finding {found}"),
    "FINDING_STATE": (
        "审计发现的状态为 {found}，此操作需要 {expected}",
        "the finding is {found}, this needs it to be {expected}",
    ),
    "NOT_THE_AUTHORITY": (
        "部门 {found} 既不是审计机关，也不是提出该发现的其他部门，不能裁定",
        "department {found} is neither the auditing authority nor another department that raised the finding: it cannot decide it",
    ),
}
