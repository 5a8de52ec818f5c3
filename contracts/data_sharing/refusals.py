"""Why the contracts of data sharing refuse a call: names, and texts in Chinese and English; part of contracts.refusals.REFUSALS."""

from __future__ import annotations

from typing import Final

DATA_SHARING_REFUSALS: Final[dict[str, tuple[str, str]]] = {
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
    "RECORD_UNKNOWN": ("没有序号为 {found} 的访问记录", "there is no access record {found}"),
}
