"""What an HTTP caller is told when a request cannot be answered: a code, and what to do, in Chinese and English (RFC 9457)."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson
from starlette.responses import Response

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


class Text(NamedTuple):
    """One sentence for users, Chinese first."""

    zh: str
    en: str

    def __str__(self) -> str:
        return self.zh if self.zh == self.en else f"{self.zh} / {self.en}"


class _Kind(NamedTuple):
    status: int
    title: Text
    remedy: Text


_KINDS: Final[dict[str, _Kind]] = {
    "PARAMETER_INVALID": _Kind(
        400,
        Text("参数不符合要求", "a parameter is not what this endpoint takes"),
        Text("请按 /docs 所列的格式更正后重试", "correct it as /docs describes and send the request again"),
    ),
    "BODY_INVALID": _Kind(
        400,
        Text("请求正文不符合要求", "the request body is not what this endpoint takes"),
        Text("请按 /docs 所列的格式更正后重试", "correct it as /docs describes and send the request again"),
    ),
    "BODY_TOO_LARGE": _Kind(
        413,
        Text("请求正文过大", "the request body is too large"),
        Text("请拆分后分次发送", "send it in smaller parts"),
    ),
    "PATH_UNKNOWN": _Kind(
        404,
        Text("没有这个地址", "there is nothing at this address"),
        Text("可用地址见 /docs", "/docs lists the addresses"),
    ),
    "METHOD_NOT_ALLOWED": _Kind(
        405,
        Text("此地址不接受该方法", "this address does not take this method"),
        Text("可用方法见 /docs", "/docs lists the methods"),
    ),
    "NOT_FOUND": _Kind(
        404,
        Text("账本上没有所查的记录", "the ledger holds no such record"),
        Text(
            "请核对后重试；刚提交的交易需等待出块",
            "check what was asked for; what was submitted just now is there once its block is final",
        ),
    ),
    "VALUE_REFUSED": _Kind(
        422,
        Text("内容未被接受", "the content was not accepted"),
        Text("请按原因更正后重新提交", "correct it for the reason given and submit it again"),
    ),
    "POOL_FULL": _Kind(
        503,
        Text("本节点暂时不能接收更多交易", "this node cannot take more transactions for now"),
        Text("请稍后重试，或改用其他节点", "try again later, or use another node"),
    ),
    "BODIES_TOO_MANY": _Kind(
        503,
        Text("本节点正在接收的请求正文过多", "this node is receiving too much in request bodies"),
        Text("请稍后重试，或拆分后分次发送", "try again in a moment, or send it in smaller parts"),
    ),
    "VERIFICATIONS_TOO_MANY": _Kind(
        503,
        Text("等待核验的文件过多", "too many files wait to be verified"),
        Text(
            "请稍后重试，或用 govnode verify 离线核验",
            "try again in a moment, or verify it offline with govnode verify",
        ),
    ),
    "REPORT_NOT_MADE": _Kind(
        503,
        Text(
            "报告没有做成：所需的时间或内存超过限度",
            "the report was not made: it takes more time or memory than is allowed",
        ),
        Text("请改用 CSV 格式，或拆分清单后重试", "take a CSV, or send a shorter list"),
    ),
    "NOT_READY": _Kind(
        503,
        Text("本节点尚未就绪", "this node is not ready"),
        Text("请稍后重试，或改用其他节点", "try again later, or use another node"),
    ),
    "NOT_SERVED": _Kind(
        404,
        Text("本节点不提供列表与网页", "this node serves no lists and pages"),
        Text("请改用 explorer = true 的节点", "use a node that is set up with explorer = true"),
    ),
    "NOT_KEPT_FOR": _Kind(
        403,
        Text("本节点不为该部门代存密封副本", "this node keeps no sealed copies for this department"),
        Text(
            "请节点的运维人员在 node.toml 的 [sealed_copies] 中列出该部门",
            "its operator lists the department in [sealed_copies] of node.toml",
        ),
    ),
    "COPIES_TOO_LARGE": _Kind(
        507,
        Text("该记录账户的密封副本已达本节点的限额", "this node keeps no more sealed copies of this recorder"),
        Text(
            "请节点的运维人员调高 node.toml 中 [sealed_copies] 的 recorder_mb，或删除已过约定保存期的副本",
            "its operator raises recorder_mb in [sealed_copies] of node.toml, or removes what is kept past the agreed time",
        ),
    ),
    "HISTORY_PRUNED": _Kind(
        410,
        Text("该高度的状态已不在本节点保留", "this node no longer keeps the state of that height"),
        Text("请改用较近的高度，或使用保留历史的节点", "ask for a recent height, or a node that keeps history"),
    ),
    "LINK_BASE_UNSET": _Kind(
        404,
        Text("本节点没有可印在二维码里的地址", "this node has no address that a code can carry"),
        Text("请运维人员在节点配置中填写 link_base", "its operator sets link_base in the node's settings"),
    ),
    "DEPOSIT_UNKNOWN": _Kind(
        404,
        Text("本节点没有这份寄存件", "this node has no such deposit"),
        Text(
            "请核对链接是否完整；寄存件只在链接所指的节点上",
            "see that the link is whole; a deposit lies at the node that its link leads to",
        ),
    ),
    "DEPOSIT_EXPIRED": _Kind(
        410,
        Text("寄存件已到期删除", "the deposit has expired and was deleted"),
        Text("请向出示人要新的链接", "ask whoever gave you the link for a new one"),
    ),
    "DEPOSIT_WITHDRAWN": _Kind(
        410,
        Text("寄存件已被寄存部门撤回", "the department that made the deposit has withdrawn it"),
        Text("请向出示人问明原因", "ask whoever gave you the link why"),
    ),
    "KEY_MALFORMED": _Kind(
        400,
        Text("链接不完整：# 之后应有 26 位密钥", "the link is not whole: its key of 26 characters follows the #"),
        Text("请使用完整的链接，或重新扫码", "use the whole link, or scan the code again"),
    ),
    "KEY_WRONG": _Kind(
        422,
        Text("链接中的密钥打不开这份寄存件", "the key in the link does not open the deposit"),
        Text(
            "链接不完整或被改动，或寄存件被替换；请向出示人要完整的链接",
            "the link was cut or changed, or the deposit was replaced; ask whoever gave you the link for the whole of it",
        ),
    ),
    "DEPOSIT_OF_ANOTHER": _Kind(
        403,
        Text("寄存件是其他部门的", "the deposit is another department's"),
        Text("请由寄存的部门撤回", "the department that made it withdraws it"),
    ),
    "DEPOSITS_FULL": _Kind(
        503,
        Text("寄存已满", "there is no room for another deposit"),
        Text("请等有的到期，或改用其他节点", "wait for some to expire, or use another node"),
    ),
    "HISTORY_NOT_HELD": _Kind(
        410,
        Text("所查内容不在本节点保存的范围内，可能更早", "it is not in what this node holds, and may be older"),
        Text(
            "状态中 base_height 为 0 的节点保存全部历史", "nodes whose status says base_height 0 hold the whole history"
        ),
    ),
    "SIGNATURE_REQUIRED": _Kind(
        401,
        Text("此内容仅向审计方和当事部门开放", "this is for auditors and parties only"),
        Text(
            "请用账户的 SM2 密钥签名请求（命令行与 SDK 会自动签名）",
            "sign the request with the SM2 key of your account; the command line and the SDK do it",
        ),
    ),
    "SIGNATURE_MALFORMED": _Kind(
        401,
        Text("签名请求头的格式不对", "a header of the signed request is malformed"),
        Text("请重新签名请求", "sign the request again"),
    ),
    "AUTHORITY_UNKNOWN": _Kind(
        401,
        Text("签名请求的对象不是本节点", "the request was signed for another server"),
        Text(
            "请用本节点的地址访问，或在节点配置的 http_names 中登记该名称",
            "use this node's address, or have its operator add the name to http_names",
        ),
    ),
    "CLOCK_OUTSIDE_WINDOW": _Kind(
        401,
        Text("签名时间与本节点时钟相差过大", "the time of signing is too far from this node's clock"),
        Text("请校准时钟后重新签名", "set the clock right and sign again"),
    ),
    "SIGNED_BEFORE_START": _Kind(
        401,
        Text("签名早于本节点启动时间", "the request was signed before this node started"),
        Text("请重新签名请求", "sign the request again"),
    ),
    "SIGNATURE_INVALID": _Kind(
        401,
        Text("签名与请求不符", "the signature does not fit this request and key"),
        Text("请核对密钥与链标识后重新签名", "check the key and the chain id and sign again"),
    ),
    "REQUEST_REPEATED": _Kind(
        401,
        Text("该签名请求已使用过一次", "this signed request has been used once already"),
        Text("每次请求都须重新签名", "sign every request anew"),
    ),
    "TOO_MANY_SIGNED_REQUESTS": _Kind(
        429,
        Text("签名请求过于频繁", "too many signed requests"),
        Text("请在一分钟后重试", "try again in a minute"),
    ),
    "ACCOUNT_UNKNOWN": _Kind(
        403,
        Text("没有在用部门的在用账户持有此密钥", "no active account of an active department holds this key"),
        Text("请由治理方登记该账户", "have the governor register the account"),
    ),
    "ROLE_REQUIRED": _Kind(
        403,
        Text("该账户无权查看", "this account may not see this"),
        Text("请使用审计方或当事部门的账户", "use an account of an auditor or a party"),
    ),
    "QUERY_NOT_RECORDED": _Kind(
        403,
        Text("审计方未在 24 小时内登记此查询", "the auditor's account has recorded no such query within 24 hours"),
        Text("请先登记查询（govnode audit trace 自行登记）", "record it first; govnode audit trace does so by itself"),
    ),
    "INTERNAL_ERROR": _Kind(
        500,
        Text("本节点出现内部错误", "this node met an internal error"),
        Text("错误已写入节点日志，请联系运维人员", "it is in the node's log; tell its operator"),
    ),
}


class Problem(Exception):
    """A request that is answered with an error: `code` is one of the table, `expected` and `found` say what was wrong."""

    def __init__(
        self,
        code: str,
        *,
        expected: Text | None = None,
        found: str | None = None,
        field: str | None = None,
        reason: Text | None = None,
    ) -> None:
        """Remember what is told; `found` is the caller's own text and is cut to 200 characters."""
        super().__init__(code)
        self.code = code
        self.kind = _KINDS[code]
        self.expected = expected
        self.found = None if found is None else _shorten(found)
        self.field = field
        self.reason = reason

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def text(self) -> Text:
        """Return the whole story: what is wrong, what was expected, what was found, what to do."""
        zh, en = [self.kind.title.zh], [self.kind.title.en]
        if self.reason is not None:
            zh.append(self.reason.zh)
            en.append(self.reason.en)
        if self.field is not None:
            zh.append(f"参数 {self.field}")
            en.append(f"parameter {self.field}")
        if self.expected is not None:
            # Between Chinese and Latin letters or digits stands a blank.
            zh.append(f"应为{' ' if self.expected.zh[:1].isascii() else ''}{self.expected.zh}")
            en.append(f"expected {self.expected.en}")
        if self.found is not None:
            zh.append(f"实际为 {self.found}")
            en.append(f"found {self.found}")
        zh.append(self.kind.remedy.zh)
        en.append(self.kind.remedy.en)
        return Text("；".join(zh) + "。", "; ".join(en) + ".")

    def members(self) -> dict[str, object]:
        """Return the members of the problem document."""
        text = self.text()
        document: dict[str, object] = {
            "type": f"urn:govnode:problem:{self.code}",
            "title": str(self.kind.title),
            "status": self.status,
            "detail": str(text),
            "code": self.code,
            "zh": text.zh,
            "en": text.en,
        }
        if self.field is not None:
            document["field"] = self.field
        if self.expected is not None:
            document["expected"] = str(self.expected)
        if self.found is not None:
            document["found"] = self.found
        return document

    def response(self) -> Response:
        """Return the problem as an HTTP response."""
        headers = {"cache-control": "no-store"}
        if self.status == 401:
            headers["www-authenticate"] = "Gov-Signature"
        return Response(
            orjson.dumps(self.members()), status_code=self.status, headers=headers, media_type=PROBLEM_MEDIA_TYPE
        )


def problem_codes() -> dict[str, tuple[int, Text]]:
    """Return every code with its HTTP status and title, for the documentation."""
    return {code: (kind.status, kind.title) for code, kind in _KINDS.items()}


def _shorten(text: str) -> str:
    """Return `text` on one line, without control characters and lone surrogates, at most 200 characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:201])
    return clean if len(text) <= 200 else clean[:199] + "…"
