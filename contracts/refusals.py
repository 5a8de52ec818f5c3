"""Every reason for which a call is refused: its name, and its text in Chinese and English.

The text is part of the receipt, and so of the ledger: a changed text is a changed rule, which all nodes take up together.
"""

from __future__ import annotations

from typing import Final

from contracts.characters import replace_control_characters
from contracts.data_sharing.refusals import DATA_SHARING_REFUSALS

MAX_ECHO_LENGTH: Final = 80

REFUSALS: Final[dict[str, tuple[str, str]]] = {
    **DATA_SHARING_REFUSALS,
    # The call itself.
    "NO_CONTRACT": ("地址 {found} 上没有合约", "there is no contract at address {found}"),
    "NO_METHOD": (
        "合约 {contract} 没有选择子为 {found} 的方法",
        "contract {contract} has no method with selector {found}",
    ),
    "MALFORMED_CALL": (
        "调用数据不是 {method} 的规范编码：{found}",
        "the call data is not the canonical encoding for {method}: {found}",
    ),
    "OUT_OF_GAS": ("燃料上限 {limit} 不足", "the gas limit of {limit} is too low for this call"),
    # EVM contracts.
    "EVM_HALTED": ("合约执行异常终止：{found}", "the contract's execution halted: {found}"),
    "OUT_OF_WORK": (
        "合约执行的工作量超过上限 {limit}",
        "the contract's execution takes more work than the limit of {limit} units",
    ),
    "CONTRACT_FROZEN": ("合约 {found} 已被冻结：{reason}", "contract {found} is frozen: {reason}"),
    "VIEW_ONLY": (
        "EVM 合约只能读取系统合约，{contract}.{method} 不可调用",
        "EVM code can only read system contracts, it cannot call {contract}.{method}",
    ),
    "DEPLOYMENT_UNKNOWN": ("地址 {found} 上没有部署的合约", "no contract is deployed at address {found}"),
    "FROZEN_ALREADY": ("合约 {found} 已处于冻结状态", "contract {found} is frozen already"),
    "NOT_FROZEN": ("合约 {found} 未被冻结", "contract {found} is not frozen"),
    # Who calls.
    "UNKNOWN_ACCOUNT": (
        "账户 {found} 未登记；账户是 SM2 公钥，由所属部门的管理员登记",
        "account {found} is not registered; an account is an SM2 key, and an administrator of its department registers it",
    ),
    "ACCOUNT_REMOVED": ("账户 {found} 已注销", "account {found} has been removed"),
    "DEPARTMENT_SUSPENDED": ("部门 {found} 已被暂停", "department {found} is suspended"),
    "ROLE_MISSING": (
        "此操作需要角色 {expected}，账户只有 {found}",
        "this needs the role {expected}, the account has {found}",
    ),
    # Fields of any call.
    "TEXT_EMPTY": ("{field} 不能为空", "{field} must not be empty"),
    "TEXT_TOO_LONG": (
        "{field} 最多 {limit} 个字符，实际 {found} 个",
        "{field} has at most {limit} characters, found {found}",
    ),
    "TEXT_CONTROL_CHARACTER": (
        "{field} 含有控制字符、不可见字符或首尾空白",
        "{field} has a control character or an invisible one, or white space at an end",
    ),
    "LIST_TOO_LONG": ("{field} 最多 {limit} 项，实际 {found} 项", "{field} has at most {limit} items, found {found}"),
    "LIST_REPEATS": ("{field} 中 {found} 重复", "{field} names {found} twice"),
    "LIST_EMPTY": ("{field} 不能没有内容", "{field} must have at least one item"),
    "DATE_OUT_OF_RANGE": (
        "{field} 应为 1900 至 9999 年间的毫秒时间，实际 {found}",
        "{field} is a time in milliseconds within the years 1900 to 9999, found {found}",
    ),
    "DATES_REVERSED": ("截止时间 {end} 不晚于起始时间 {start}", "the end {end} is not after the start {start}"),
    "DIGEST_ZERO": ("{field} 不能全为零", "{field} must not be all zeros"),
    "VALUE_UNKNOWN": ("{field} 应为 {expected} 之一，实际 {found}", "{field} is one of {expected}, found {found}"),
    "LENGTHS_DIFFER": ("{field} 应有 {expected} 项，实际 {found} 项", "{field} has {expected} items, found {found}"),
    # Chain parameters.
    "PARAMETER_UNKNOWN": ("没有名为 {found} 的链参数", "there is no chain parameter called {found}"),
    "PARAMETER_OUT_OF_RANGE": (
        "链参数 {field} 应为 {least} 至 {limit}，实际 {found}",
        "the chain parameter {field} is from {least} to {limit}, found {found}",
    ),
    "PARAMETERS_CONFLICT": (
        "链参数 {field}（{found}）不能大于 {ceiling}（{limit}）",
        "the chain parameter {field} ({found}) must not be above {ceiling} ({limit})",
    ),
    # Departments and accounts.
    "USCC_MALFORMED": (
        "统一社会信用代码应为 18 位规定字符，实际 {found}",
        "a unified social credit code has 18 characters of its alphabet, found {found}",
    ),
    "USCC_CHECK_CHARACTER": (
        "统一社会信用代码 {found} 的校验码应为 {expected}",
        "the check character of unified social credit code {found} must be {expected}",
    ),
    "REGION_MALFORMED": (
        "行政区划代码应为 6、9 或 12 位数字，实际 {found}",
        "a region code has 6, 9 or 12 digits, found {found}",
    ),
    "DEPARTMENT_EXISTS": ("部门 {found} 已登记", "department {found} is registered already"),
    "DEPARTMENT_UNKNOWN": ("部门 {found} 未登记", "department {found} is not registered"),
    "DEPARTMENT_NOT_SUSPENDED": ("部门 {found} 未被暂停", "department {found} is not suspended"),
    "DEPARTMENT_CYCLE": ("部门 {found} 的上级关系成环", "department {found} is its own superior"),
    "OWN_DEPARTMENT": ("不能暂停自己所在的部门", "an account cannot suspend its own department"),
    "OWN_ACCOUNT": ("不能更改或注销自己的账户", "an account cannot change or remove itself"),
    "OTHER_DEPARTMENT": (
        "账户属于部门 {found}，此操作属于部门 {expected}",
        "the account belongs to department {found}, this is for department {expected}",
    ),
    "ACCOUNT_EXISTS": ("账户 {found} 已登记", "account {found} is registered already"),
    "KEY_OF_VALIDATOR": (
        "此密钥属于验证者或候选验证者 {found}，应另备密钥",
        "the key is that of the validator or candidate {found}; use another one",
    ),
    "REGISTRATION_INVALID": (
        "账户 {found} 的登记未由其密钥就本链、部门、名称与角色签名，请由持有人按此重新申请",
        "the key of {found} has not signed for this chain, department, name and roles; have its holder make a request for just these",
    ),
    "KEY_INVALID": ("公钥不是 SM2 曲线上的点", "the public key is not a point on the SM2 curve"),
    "ROLE_UNKNOWN": ("没有名为 {found} 的角色", "there is no role called {found}"),
    "ROLE_RESERVED": ("角色 {found} 只能由治理账户授予", "only a governor gives the role {found}"),
    "ROLES_CONFLICT": (
        "管理、审计与业务角色不得由同一账户兼任：{found}",
        "one account does not hold roles of management, audit and operation together: {found}",
    ),
    # Validators.
    "VALIDATOR_EXISTS": ("{found} 已是验证者或候选验证者", "{found} is a validator or a candidate already"),
    "VALIDATOR_NAME_MALFORMED": (
        "验证者名称应与节点证书一致，为 1 至 {limit} 个字母、数字、点、连字符或下划线，实际 {found}",
        "a validator has the name of its node's certificate, 1 to {limit} letters, digits, dots, hyphens or underscores, found {found}",
    ),
    "VALIDATOR_UNKNOWN": ("没有地址为 {found} 的验证者", "there is no validator {found}"),
    "CANDIDATE_UNKNOWN": ("没有地址为 {found} 的候选验证者", "there is no candidate {found}"),
    "KEY_IN_USE": ("此密钥已属于账户 {found}，应另备密钥", "the key is that of account {found}; use another one"),
    "TOO_MANY_VALIDATORS": (
        "验证者最多 {limit} 个，候选验证者最多 {candidates} 个",
        "there are at most {limit} validators, and at most {candidates} candidates",
    ),
    "TOO_FEW_VALIDATORS": ("验证者不得少于 {limit} 个", "at least {limit} validators must remain"),
    "SET_CHANGED": (
        "本区块已变更验证者，请在下一区块再试",
        "this block has changed the validators already; try again in the next",
    ),
    "BLOCK_UNKNOWN": (
        "高度 {height} 的近期区块不是 {found}",
        "the recent block of height {height} is not {found}",
    ),
    "BLOCK_TOO_OLD": (
        "应证明高度 {limit} 或之后的区块，实际 {found}",
        "expected a block of height {limit} or later, found {found}",
    ),
    # Certificate types and certificates.
    "TYPE_CODE_MALFORMED": (
        "证照类型代码应为 18 位机构代码加 3 位数字，实际 {found}",
        "a type code is an 18-character body code and 3 digits, found {found}",
    ),
    "TYPE_EXISTS": ("证照类型 {found} 已登记", "certificate type {found} is registered already"),
    "TYPE_NOT_REGISTERED": ("证照类型 {found} 未登记", "certificate type {found} is not registered"),
    "CODE_TABLE_UNKNOWN": ("没有名为 {found} 的代码表", "there is no code table called {found}"),
    "CODE_TABLE_INVALID": ("代码表无效：{found}", "the code table is not usable: {found}"),
    "ISSUER_NOT_AUTHORISED": (
        "部门 {issuer} 无权颁发类型 {found}",
        "department {issuer} is not authorised to issue type {found}",
    ),
    "ISSUER_ALREADY_AUTHORISED": (
        "部门 {issuer} 已可颁发类型 {found}",
        "department {issuer} is authorised to issue type {found} already",
    ),
    "ISSUER_MISMATCH": (
        "标识中的颁发机构 {found} 不是本账户所属部门 {expected}",
        "the identifier names issuer {found}, the account belongs to department {expected}",
    ),
    "IDENTIFIER_MALFORMED": (
        "证照标识应为 [1.2.156.3005.2.]类型.颁发机构.流水号.版本.校验码，实际 {found}",
        "an identifier is [1.2.156.3005.2.]type.issuer.serial.version.check, found {found}",
    ),
    "CHECK_CHARACTER_MISMATCH": (
        "证照标识 {found} 的校验码应为 {expected}",
        "the check character of identifier {found} must be {expected}",
    ),
    "CERTIFICATE_EXISTS": ("证照 {found} 已存在", "certificate {found} exists already"),
    "CERTIFICATE_UNKNOWN": ("账本上没有证照 {found}", "there is no certificate {found} on the ledger"),
    "TYPE_DIFFERS": ("证照 {found} 与 {expected} 类型不同", "certificate {found} is of another type than {expected}"),
    "ALREADY_SUCCEEDED": ("证照已由 {found} 接替", "the certificate has been succeeded by {found}"),
    "OPERATION_NOT_IN_TABLE": (
        "该类型的代码表没有 {found} 操作",
        "the code table of this type has no operation {found}",
    ),
    "STATUS_FORBIDS": (
        "证照状态为 {found}，不能进行操作 {operation}",
        "the certificate has status {found}, which does not allow operation {operation}",
    ),
    "STATUS_NOT_REACHABLE": (
        "操作 {operation} 不能得到状态 {found}",
        "operation {operation} does not lead to status {found}",
    ),
    "HISTORY_PAGE_UNKNOWN": ("证照没有第 {found} 页历史", "the certificate's history has no page {found}"),
    "NOT_EXPIRED": (
        "有效期至 {limit}，目前（{found}）尚未届满",
        "the validity ends at {limit}, which is not before the present, {found}",
    ),
    "TRANSFER_TO_ITSELF": (
        "证照已属于部门 {found}，不能转出给本部门",
        "department {found} has the certificate already, it cannot be transferred there",
    ),
    "NOT_OFFERED": (
        "证照 {found} 未向部门 {department} 转出",
        "certificate {found} is not being transferred to department {department}",
    ),
    # Batches of certificates.
    "SERIAL_MALFORMED": (
        "流水号应为 1 至 {limit} 位数字或大写字母，实际 {found}",
        "a serial has 1 to {limit} digits and capital letters, found {found}",
    ),
    "SERIALS_REVERSED": (
        "末流水号 {last} 在首流水号 {first} 之前",
        "the last serial {last} comes before the first, {first}",
    ),
    "SERIALS_TAKEN": (
        "流水号 {first} 至 {last} 与首流水号为 {found} 的批次重叠",
        "the serials {first} to {last} meet the batch that begins at {found}",
    ),
    "SERIAL_IN_BATCH": (
        "流水号 {found} 在批次的范围 {first} 至 {last} 之内，除其证照以 002 及以后的版本接替外，不能单独颁发",
        "the serial {found} lies in a batch, from {first} to {last}: only a successor, in version 002 or later, can have it by itself",
    ),
    "TOO_MANY_BATCHES": (
        "同一类型与颁发机构最多 {limit} 个批次",
        "an issuer has at most {limit} batches of a type",
    ),
    "BATCH_COUNT": (
        "一个批次应有 1 至 {limit} 份证照，实际 {found}",
        "a batch has 1 to {limit} certificates, found {found}",
    ),
    "BATCH_UNKNOWN": ("没有名为 {found} 的批次", "there is no batch called {found}"),
    "NOT_IN_BATCH": (
        "证照 {found} 不是批次 {batch} 的第 {position} 份：默克尔路径不符",
        "certificate {found} is not number {position} of batch {batch}: the Merkle path leads elsewhere",
    ),
    "ANOTHER_CERTIFICATE": (
        "账本上标识 {found} 的记录属于另一份证照",
        "the record of identifier {found} on the ledger is of another certificate",
    ),
    "OUTSIDE_BATCH": (
        "标识 {found} 的类型、颁发机构、流水号或版本（应为 001）不属于批次 {batch}",
        "type, issuer, serial or version (001) of identifier {found} are not those of batch {batch}",
    ),
    # Authorisations of holders.
    "FETCHES_OUT_OF_RANGE": (
        "领取次数应为 1 至 {limit}，实际 {found}",
        "the number of fetches is from 1 to {limit}, found {found}",
    ),
    "AUTHORISATION_EXISTS": ("授权 {found} 已存在", "authorisation {found} exists already"),
    "AUTHORISATION_UNKNOWN": ("没有编号为 {found} 的授权", "there is no authorisation {found}"),
    "NOT_THE_RECIPIENT": (
        "部门 {found} 不是该授权的领取部门",
        "department {found} is not the one that the holder authorised",
    ),
    "AUTHORISATION_WITHDRAWN": (
        "授权 {found} 已于 {since} 由持证人撤回",
        "authorisation {found} was withdrawn at {since}",
    ),
    "AUTHORISATION_NOT_BEGUN": ("授权 {found} 自 {since} 起有效", "authorisation {found} begins at {since}"),
    "AUTHORISATION_EXPIRED": ("授权 {found} 已于 {since} 到期", "authorisation {found} ended at {since}"),
    "PURPOSE_DIFFERS": (
        "使用事由不是授权 {found} 所准许的用途",
        "the reason of use is not the purpose of authorisation {found}",
    ),
    "CODE_WRONG": ("授权 {found} 的一次性授权码不符", "the one-time code of authorisation {found} is another"),
    "AUTHORISATION_USED_UP": (
        "授权 {found} 的 {limit} 次领取已用完",
        "the {limit} fetches of authorisation {found} are used up",
    ),
    "FETCH_UNKNOWN": ("没有第 {found} 次领取的记录", "there is no record of fetch {found}"),
    # Anchors.
    "ANCHOR_EXISTS": ("本部门已锚定摘要 {found}", "the department has anchored digest {found} already"),
    "ANCHOR_UNKNOWN": ("没有摘要 {found} 的锚定记录", "there is no anchor of digest {found}"),
    "COUNT_ZERO": ("默克尔根之下至少要有一项", "a Merkle root covers at least one item"),
}


class Refused(Exception):
    """A call that the rules do not allow: `code` names the reason in REFUSALS, the fields fill its text."""

    def __init__(self, code: str, **fields: object) -> None:
        """Take a code of REFUSALS and the fields that its text names."""
        super().__init__(code)
        self.code = code
        self.fields = fields

    @property
    def texts(self) -> tuple[str, str]:
        """The reason in Chinese and in English."""
        shown = {name: _shown(value) for name, value in self.fields.items()}
        chinese, english = REFUSALS[self.code]
        return chinese.format_map(shown), english.format_map(shown)

    @property
    def message(self) -> str:
        """CODE: Chinese / English, as receipts carry it."""
        chinese, english = self.texts
        return f"{self.code}: {chinese} / {english}"

    def __str__(self) -> str:
        return self.message


def _shown(value: object) -> str:
    """Return a value as text of bounded length without control characters: it came from outside and is shown to people."""
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    text = replace_control_characters(text[: MAX_ECHO_LENGTH + 1])
    return text if len(text) <= MAX_ECHO_LENGTH else text[: MAX_ECHO_LENGTH - 1] + "…"
