"""Why the gateway answers without data: each code with its HTTP status and what to do, in Chinese and English."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from verification.errors import GovnodeError


class _Kind(NamedTuple):
    status: int
    zh: str
    en: str


DENIALS: Final[dict[str, _Kind]] = {
    "TOKEN_REQUIRED": _Kind(
        401,
        "请求须带令牌：用签名请求从 POST /gov/token 取得",
        "a token is needed: get one from POST /gov/token by a signed request",
    ),
    "TOKEN_INVALID": _Kind(
        401,
        "令牌不是本网关签发的，或网关已重新启动：请重新取得",
        "the token is not of this gateway since its last start: get a new one",
    ),
    "TOKEN_EXPIRED": _Kind(401, "令牌已到期：请重新取得", "the token has expired: get a new one"),
    "TOKEN_REQUEST_MALFORMED": _Kind(400, "令牌请求的内容有误", "the request for a token is not of its form"),
    "READ_HEADER_MALFORMED": _Kind(400, "请求头有误", "a header is missing, repeated or not of its form"),
    "READ_REPEATED": _Kind(
        409,
        "这个 Gov-Nonce 已用过：每次读取用新的随机数",
        "this Gov-Nonce was used before: take a fresh one for each read",
    ),
    "PATH_MALFORMED": _Kind(
        400, "地址含有 .. 、// 或编码的分隔符", "the path has .., // or an encoded separator in it"
    ),
    "ROUTE_UNKNOWN": _Kind(404, "本网关没有登记这个地址", "this gateway has no such route"),
    "REQUEST_TOO_LARGE": _Kind(413, "请求正文过大", "the request body is too large"),
    "BODY_NOT_TAKEN": _Kind(400, "这种方法的请求不得带正文", "a request by this method has no body"),
    "REQUEST_INCOMPLETE": _Kind(400, "请求正文没有收全", "the request body did not come whole"),
    "PERSON_MISSING": _Kind(
        400, "请求中没有路由要求的人员号码", "the request does not name the person that its route asks for"
    ),
    "PERSONS_UNREACHABLE": _Kind(
        503,
        "人员承诺服务与本部门节点都无法访问：请稍后重试",
        "neither the person service nor the own node can be asked: try again in a moment",
    ),
    "GRANT_UNKNOWN": _Kind(403, "账本上没有这项授权", "the ledger has no such grant"),
    "NOT_THE_CONSUMER": _Kind(
        403, "授权属于另一个部门", "the grant is another department's, or the data is not this gateway's"
    ),
    "ACCOUNT_INACTIVE": _Kind(403, "账户或其部门已停用", "the account or its department is no longer active"),
    "OTHER_RESOURCE": _Kind(
        403, "授权所指的资源不是所查的资源", "the grant is for another resource than the one asked for"
    ),
    "GRANT_NOT_BEGUN": _Kind(403, "授权尚未开始", "the grant has not begun"),
    "GRANT_EXPIRED": _Kind(403, "授权已到期", "the grant has expired"),
    "GRANT_NOT_IN_FORCE": _Kind(
        403, "授权未获批准、已停止或已召回", "the grant was not given, or was stopped or recalled"
    ),
    "PURPOSE_DIFFERS": _Kind(403, "用途与授权所载不同", "the purpose is not the grant's, word for word"),
    "CASE_MISSING": _Kind(403, "须写明案件号", "a case number is needed"),
    "CASE_TYPE_OUTSIDE": _Kind(403, "案件类型不在授权之内", "the case type is not among the grant's"),
    "PLACE_OUTSIDE": _Kind(
        403, "请求来自授权所限地点之外", "the request comes from outside the place that the grant allows"
    ),
    "PLACE_NOT_CONFIGURED": _Kind(
        403,
        "网关的 places 中没有授权所限的地点，请提供方补上",
        "the gateway's `places` do not have the place that the grant allows: its operator adds it",
    ),
    "READS_USED_UP": _Kind(429, "今日读取次数已用完", "the grant's reads of this day are used up"),
    "ROWS_USED_UP": _Kind(429, "今日行数已用完", "the grant's rows of this day are used up"),
    "ROWS_PER_READ_EXCEEDED": _Kind(
        403, "一次读取的行数超过授权", "the answer has more rows than the grant allows a read: ask for fewer"
    ),
    "ANSWER_NOT_JSON": _Kind(
        502,
        "授权限定了数据项或行数，而数据服务的应答不是网关能处理的 JSON",
        "the grant limits columns or rows, and the service's answer is no JSON that the gateway can cut",
    ),
    "ANSWER_TOO_LARGE": _Kind(502, "数据服务的应答过大", "the service's answer is too large"),
    "ANSWER_ENCODED": _Kind(
        502, "数据服务的应答经过压缩", "the service's answer is compressed, which was not asked for"
    ),
    "SERVICE_UNREACHABLE": _Kind(502, "连接不上数据服务", "the data service cannot be reached"),
    "SERVICE_TIMEOUT": _Kind(504, "数据服务没有按时应答", "the data service did not answer in time"),
    "SERVICE_REFUSED": _Kind(502, "数据服务没有给出数据", "the data service gave no data"),
    "TOO_MANY_READS": _Kind(
        503, "网关正在处理的读取过多：请稍后重试", "too many reads are in hand: try again in a moment"
    ),
    "TOO_MANY_DENIED": _Kind(
        429, "本部门一分钟内被拒绝的读取过多", "too many reads of this department were denied within a minute"
    ),
    "CHAIN_UNREACHABLE": _Kind(
        503,
        "网关连接不上本部门的节点，按其策略暂停提供",
        "the gateway cannot reach its department's node, and its policy is to stop",
    ),
    "RECORDING_STOPPED": _Kind(
        503,
        "访问记录不能落盘或上链，按策略暂停提供",
        "reads cannot be recorded or anchored, and its department's policy is to stop",
    ),
    "QUERY_NOT_RECORDED": _Kind(
        403,
        "审计方须先在账本上登记查询，并在 Gov-Audit-Query 中写明其标识",
        "an auditor records the query on the ledger first and names it in Gov-Audit-Query",
    ),
    "RECEIPT_UNKNOWN": _Kind(
        404,
        "本网关没有贵部门参与的这次读取",
        "this gateway has no read of this number that your department took part in",
    ),
    "ARCHIVE_MISSING": _Kind(
        503,
        "所查的读取在已移走的归档中：请记录方的运维人员放回归档",
        "what is asked for is in an archive that is away: its recorder's operator puts it back",
    ),
    "PARAMETER_INVALID": _Kind(400, "参数不符合要求", "a parameter is not what this endpoint takes"),
    "ROLE_MISSING": _Kind(
        403,
        "账户没有读取数据所需的角色（申请或记录）",
        "the account has no role that reads data: requester or recorder",
    ),
    "GATEWAY_FAULT": _Kind(500, "网关自身出错", "a fault of the gateway itself"),
}


class Denied(GovnodeError):
    """The gateway gives no data; `status` is the HTTP status that it answers with."""

    def __init__(self, code: str, found: str = "") -> None:
        """Take one of the codes of DENIALS, and what was found where that helps."""
        kind = DENIALS[code]
        super().__init__(
            code, f"{kind.zh}（{found}）" if found else kind.zh, f"{kind.en} (found {found})" if found else kind.en
        )
        self.status = kind.status


def problem_body(code: str, status: int, zh: str, en: str) -> bytes:
    """Return an error as application/problem+json says it (RFC 9457), in both languages."""
    return orjson.dumps(
        {
            "type": f"urn:govnode:problem:{code}",
            "title": code,
            "status": status,
            "detail": zh if zh == en else f"{zh} / {en}",
            "code": code,
            "zh": zh,
            "en": en,
        }
    )
