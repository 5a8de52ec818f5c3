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
    "RESOURCE_EXISTS": (
        "资源 {found} 已发布，当前版本为 {version}",
        "resource {found} is published already, its version in force is {version}",
    ),
    "RESOURCE_UNKNOWN": ("目录中没有资源 {found}", "there is no resource {found} in the catalogue"),
    "RESOURCE_WITHDRAWN": ("资源 {found} 已撤回", "resource {found} has been withdrawn"),
    "BASIS_MISSING": (
        "不予共享或有条件共享须说明依据或条件",
        "conditional or no sharing must state its basis or condition",
    ),
    "VERSION_CHANGED": (
        "当前版本为 {expected}，而非 {found}；请先查看最新内容",
        "the version in force is {expected}, not {found}: look at what it says first",
    ),
    "VERSION_UNKNOWN": ("没有版本 {found}", "there is no version {found}"),
    "SECRET_SHARED": (
        "涉密资源 {found} 不得共享或开放",
        "resource {found} is secret and can be neither shared nor opened",
    ),
    "CORE_OPENED": (
        "核心数据 {found} 不得向社会开放",
        "resource {found} is core data and cannot be opened to the public",
    ),
    "SOURCE_WITHOUT_LEVEL": (
        "填写回流来源时须说明来源层级",
        "a source of returned data needs the level that it is returned from",
    ),
    "PROPOSAL_UNKNOWN": ("资源 {found} 没有待审批的版本", "no version of resource {found} waits for approval"),
    "PROPOSAL_CHANGED": (
        "待审批的版本摘要为 {expected}，而非 {found}；请重新查看",
        "the version that waits has the digest {expected}, not {found}: look at it again",
    ),
    "APPROVAL_NOT_NEEDED": (
        "还需 {expected} 审批，不需要 {found}",
        "it still needs the approval of {expected}, not of {found}",
    ),
    "SECOND_ACCOUNT_NEEDED": (
        "审批须由另一账户作出，{found} 已参与",
        "another account has to approve: {found} has had a part already",
    ),
    "SCORE_OUT_OF_RANGE": ("评分应为 0 至 {limit}，实际 {found}", "a score is from 0 to {limit}, found {found}"),
    "OWN_RESOURCE_REVIEWED": (
        "资源 {found} 属于本部门，应由其他部门评价",
        "resource {found} is the department's own: another one reviews it",
    ),
    "REVIEW_EXISTS": (
        "本部门已评价资源 {found} 的版本 {version}",
        "the department has reviewed version {version} of resource {found} already",
    ),
    "REVIEW_UNKNOWN": ("资源 {found} 没有此评价", "there is no such review of resource {found}"),
    "REPLIED_ALREADY": ("对资源 {found} 的此评价已答复", "this review of resource {found} has its reply already"),
    # Return flow.
    "RESOURCE_NOT_RETURNED": (
        "目录中资源 {found}（该版本）不是回流数据",
        "the catalogue does not have (this version of) resource {found} as returned data",
    ),
    "ARRIVAL_UNKNOWN": ("没有第 {found} 次到达", "there is no arrival {found}"),
    "ARRIVAL_GAP": (
        "到达序号应为 {expected}，实际 {found}",
        "the arrival's number must be {expected}, found {found}",
    ),
    "ARRIVAL_REWRITTEN": (
        "第 {found} 次到达已登记且内容不同；登记有误请更正",
        "arrival {found} is recorded with other content: correct it where it is wrong",
    ),
    "ARRIVAL_ENDED": (
        "第 {found} 次到达已更正或作废",
        "arrival {found} was corrected or made void already",
    ),
    "ARRIVAL_TIME": (
        "到达时间不得晚于 {limit}，数据期间不得晚于到达当日（北京时间），实际到达 {found}、期间止于 {end}",
        "data arrives by {limit} and its period ends by that day (Beijing time), found {found} with a period to {end}",
    ),
    # Directories.
    "ENTRY_CODE_MALFORMED": (
        "代码应为 1 至 {limit} 位字母、数字及其间的 . _ -，实际 {found}",
        "a code is 1 to {limit} letters and digits, with . _ - between them, found {found}",
    ),
    "DUTY_UNKNOWN": ("本部门的职责目录中没有 {found}", "the department's directory has no duty {found}"),
    "SYSTEM_UNKNOWN": ("本部门的系统目录中没有 {found}", "the department's directory has no system {found}"),
    "ENTRY_ENDED": ("{found} 已停用", "{found} has ended"),
    # Open data.
    "RESOURCE_NOT_OPEN": (
        "目录中资源 {found} 不是可开放的",
        "the catalogue does not have resource {found} as one that may be opened",
    ),
    "DATASET_UNKNOWN": ("没有资源 {found} 的开放数据集", "there is no open dataset of resource {found}"),
    "DATASET_STATE": (
        "开放数据集状态为 {found}，此操作需要 {expected}",
        "the open dataset is {found}, this needs it to be {expected}",
    ),
    "RELEASE_UNKNOWN": ("没有第 {found} 次发布", "there is no release {found}"),
    "REPORT_UNKNOWN": ("没有第 {found} 份下载报告", "there is no download report {found}"),
    "REPORT_GAP": (
        "下载报告序号应为 {expected}，实际 {found}",
        "the report's number must be {expected}, found {found}",
    ),
    "REPORT_REWRITTEN": (
        "第 {found} 份下载报告已存在且内容不同",
        "download report {found} exists with other content",
    ),
    "REPORT_PERIOD": (
        "报告期间应自 {start} 起、不晚于 {limit}（北京时间），实际 {found} 至 {end}",
        "the period begins at {start} and ends by {limit} (Beijing time), found {found} to {end}",
    ),
    "COUNT_TOO_LARGE": ("数量 {found} 过大", "the count {found} is too large"),
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
    "VOLUME_EXCEEDED": (
        "数据量 {found} 超出每日 {limit} 行",
        "{found} rows a day exceed the {limit} that may be asked for or granted",
    ),
    "COLUMN_NOT_ASKED": (
        "数据项 {found} 不在申请或授权的范围内",
        "the item {found} is not among those asked for or granted",
    ),
    "COLUMN_NOT_GRANTED": ("数据项 {found} 不在授权的范围内", "the item {found} is not among those granted"),
    "MASK_RANGE": (
        "脱敏范围 {found} 有误：长度至少为 1，起始与长度至多 {limit}",
        "the mask's range {found} is wrong: its length is 1 or more, start and length are at most {limit}",
    ),
    "PASSING_ON_TO": (
        "不可同意向 {found} 转供：须为另一在册部门",
        "the data cannot be passed on to {found}: it must be a third, active department",
    ),
    "RENEWAL_EXISTS": ("已有续期申请 {found}", "there is a renewal already: {found}"),
    "RETURNED_ALREADY": (
        "申请 {found} 已退回过一次，补正要求须一次性告知",
        "request {found} was returned once; all that it lacks must be said at once",
    ),
    "CHECK_MISSING": (
        "该地区设有合规性检查，申请 {found} 尚未检查；治理账户或提供方先登记检查结果",
        "the region has a compliance check and request {found} has not been checked: a governor or the provider records that first",
    ),
    "CHECKED_ALREADY": ("申请 {found} 已通过合规性检查", "request {found} has passed its compliance check"),
    "REASON_UNKNOWN": (
        "拒绝理由 {found} 不在理由表中；可用：{expected}",
        "the reason {found} is not in the table, which has {expected}",
    ),
    "CASE_UNKNOWN": ("该申请没有第 {found} 项", "the request has no number {found} of this kind"),
    "CASES_FULL": ("{field} 已达上限 {limit}", "there are {limit} {field} already, which is the most"),
    "ANSWERED_ALREADY": ("第 {found} 项已答复", "number {found} has been answered"),
    "OWN_DISPUTE": (
        "异议由本部门 {found} 提出，须由对方答复",
        "the department {found} raised the dispute itself: the other party answers",
    ),
    "TAKEN_ALREADY": ("异议已由 {found} 受理", "the dispute was taken up by {found}"),
    "NOT_TAKEN": (
        "异议的受理部门为 {found}，须先由本部门受理",
        "the dispute was taken up by {found}: who decides takes it up first",
    ),
    "DISPUTE_ENDED": ("异议 {found} 已办结", "dispute {found} has ended"),
    "RECALL_IN_FUTURE": (
        "召回的数据截至 {found}，晚于区块时间 {limit}",
        "what is recalled ends at {found}, after block time {limit}",
    ),
    "NOT_A_PARTY": (
        "部门 {found} 不是该授权的提供方或使用方",
        "department {found} is neither provider nor consumer of the grant",
    ),
    # Deliveries.
    "DELIVERY_GAP": (
        "交付序号应为 {expected}，实际 {found}",
        "the delivery's number must be {expected}, found {found}",
    ),
    "DELIVERY_REWRITTEN": (
        "第 {found} 次交付已登记且内容不同",
        "delivery {found} under this grant is recorded with other content",
    ),
    "DELIVERY_UNKNOWN": ("没有第 {found} 次交付", "there is no delivery {found} under this grant"),
    "DELIVERY_ANSWERED": (
        "第 {found} 次交付已于 {since} 答复",
        "delivery {found} was answered for at {since}",
    ),
    "DELIVERY_DIFFERS": (
        "收到的摘要 {found} 不是登记的 {expected}，应以内容不符答复",
        "the digest received, {found}, is not the recorded {expected}: answer that it differs",
    ),
    "DELIVERY_IS_THE_SAME": (
        "第 {found} 次交付与登记的摘要相同，不能以内容不符答复",
        "what came with delivery {found} has the recorded digest: it does not differ",
    ),
    "PARCEL_TOO_LARGE": ("{field} 至多 {limit}，实际 {found}", "{field} is at most {limit}, found {found}"),
    "ENCRYPTION_KEY_NOT_PRESENT": (
        "应以使用方第 {expected} 把加密密钥封装，实际为第 {found} 把",
        "it has to be sealed to the consumer's encryption key {expected}, found {found}",
    ),
    # Access records.
    "GRANT_NOT_IN_FORCE": ("授权 {found} 不在有效期内", "grant {found} is not in force"),
    "NUMBER_GAP": ("记录序号应为 {expected}，实际 {found}", "the record's number must be {expected}, found {found}"),
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
    "NUMBER_OUT_OF_RANGE": (
        "{field} 应为 {least} 至 {limit}，实际 {found}",
        "{field} is from {least} to {limit}, found {found}",
    ),
    "BATCH_GAP": ("批次序号应为 {expected}，实际 {found}", "the batch's number must be {expected}, found {found}"),
    "BATCH_REWRITTEN": (
        "序号 {found} 的批次已存在且内容不同",
        "batch {found} of this stream exists with other content",
    ),
    "BATCH_NUMBER_UNKNOWN": ("访问记录流没有序号为 {found} 的批次", "the stream has no batch {found}"),
    "COVERAGE_GAP": (
        "批次应从 {expected} 起（上一批之末；首批不晚于首次登记），实际 {found}",
        "the batch must cover from {expected} on (where the one before ended; the first from the stream's first declaration "
        "or before), found {found}",
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
    # Audits.
    "RULE_MALFORMED": (
        "规则代码应为 3 至 32 位大写字母、数字或下划线，实际 {found}",
        "a rule's code is 3 to 32 capital letters, digits and underscores, found {found}",
    ),
    "NUMBERS_REVERSED": (
        "末序号 {last} 小于首序号 {first}",
        "the last number, {last}, is below the first, {first}",
    ),
    "NUMBERS_BEYOND_STREAM": (
        "末序号 {found} 超出该记录流在账本上的范围（至 {limit}）",
        "the last number, {found}, is beyond what the ledger has of the stream, which is up to {limit}",
    ),
    "QUERY_UNKNOWN": ("没有编号为 {found} 的审计查询", "there is no audit query {found}"),
    "FINDING_EXISTS": ("本部门已提出该审计发现 {found}", "the department has raised finding {found} already"),
    "FINDING_UNKNOWN": ("没有编号为 {found} 的审计发现", "there is no finding {found}"),
    "FINDING_STATE": (
        "审计发现的状态为 {found}，此操作需要 {expected}",
        "the finding is {found}, this needs it to be {expected}",
    ),
    "FIGURES_NOT_AHEAD": (
        "参数表须自 {limit} 之后的时间起适用，实际 {found}",
        "a table of figures applies from a time after {limit}, found {found}",
    ),
    "NOT_THE_AUTHORITY": (
        "部门 {found} 既不是审计机关，也不是提出该发现的其他部门，无权办理",
        "department {found} is neither the auditing authority nor another department that raised the finding: this is not for it",
    ),
    # Data products and the score.
    "PRODUCT_NUMBER_MALFORMED": (
        "产品编号应为 1 至 32 位数字或大写字母，实际 {found}",
        "a product's number is 1 to 32 digits and capital letters, found {found}",
    ),
    "PRODUCT_EXISTS": ("数据产品 {found} 已登记", "product {found} is registered already"),
    "PRODUCT_UNKNOWN": ("没有登记过数据产品 {found}", "no product {found} has been registered"),
    "PRODUCT_ENDED": (
        "数据产品 {found} 的登记已终止（{state}）",
        "the registration of product {found} has ended ({state})",
    ),
    "OWN_PRODUCT": ("数据产品 {found} 属于本部门", "product {found} is the department's own"),
    "OWN_CASE": (
        "部门 {found} 是当事方，须由其他部门的治理账户裁定",
        "department {found} is a party: a governor of another department decides",
    ),
    "SOURCE_NOT_GRANTED": (
        "资源 {found} 属于其他部门，所列授权不是本部门对该资源的有效授权",
        "resource {found} is another department's, and the grant named is none in force of this department for it",
    ),
    "PARTIES_SAME": ("对方不能是本部门 {found}", "the other party cannot be the department {found} itself"),
    "COUNTERPARTY_UNKNOWN": ("没有在册的部门 {found}", "there is no active department {found}"),
    "AMOUNT_OUT_OF_RANGE": ("金额 {found} 分超过上限 {limit} 分", "the amount of {found} fen is above {limit}"),
    "FACT_IN_FUTURE": ("日期 {found} 晚于区块时间 {limit}", "the date {found} lies after block time {limit}"),
    "FACT_UNKNOWN": ("该产品没有序号为 {found} 的记录", "the product has no record {found}"),
    "FACT_STATE": (
        "该记录状态为 {found}，此操作需要 {expected}",
        "the record is {found}, this needs it to be {expected}",
    ),
    "FACT_OF_OTHERS": (
        "序号 {found} 的记录不是同样双方之间的同类记录",
        "record {found} is not of the same kind between the same parties",
    ),
    "GRANT_OF_OTHERS": (
        "授权 {found} 不是交易双方之间的授权",
        "grant {found} is not between the two parties of a transaction",
    ),
    "PASSING_ON_NOT_ALLOWED": (
        "产品含资源 {resource}，其提供方未同意转给部门 {found}",
        "the product has data of resource {resource}, whose provider has not agreed to its being passed on to {found}",
    ),
    "DOCUMENT_DIFFERS": (
        "文件摘要 {found} 与对方登记的 {expected} 不同",
        "the document's digest {found} is not the {expected} that the other party stated",
    ),
    "OBJECTION_UNKNOWN": ("该产品没有序号为 {found} 的异议", "the product has no objection {found}"),
    "OBJECTION_STATE": (
        "该异议状态为 {found}，此操作需要 {expected}",
        "the objection is {found}, this needs it to be {expected}",
    ),
    "POINTS_OUT_OF_RANGE": (
        "{field} 的分值应在 1 至 {limit}（百分之一分）之间，可为负，实际 {found}",
        "the points of {field} are 1 to {limit} hundredths, or as many negative ones, found {found}",
    ),
    "FORMULA_NOT_AHEAD": (
        "公式须自 {limit} 之后的时间起适用，实际 {found}",
        "a formula applies from a time after {limit}, found {found}",
    ),
    # Statutory clocks.
    "CALENDAR_YEAR": (
        "日历年份应为 {least} 至 {limit}，实际 {found}",
        "a calendar is recorded for {least} to {limit}, found {found}",
    ),
    "CALENDAR_DAY": (
        "日历应按先后列出 {expected} 年的日期 YYYY-MM-DD，各一次，实际 {found}",
        "a calendar lists days of {expected} as YYYY-MM-DD, in order, each once, found {found}",
    ),
    "CALENDAR_DAY_PAST": (
        "{found} 不晚于今天，已登记的日历只能更改今天以后的日期",
        "{found} is not after today: of a recorded calendar only later days change",
    ),
    "CALENDAR_UNKNOWN": ("没有登记 {found} 年的日历", "the calendar of {found} is not recorded"),
    "REGION_PREFIX_MALFORMED": (
        "地区应为行政区划代码的前 2、4、6、9 或 12 位，或留空表示全国，实际 {found}",
        "a region is the first 2, 4, 6, 9 or 12 digits of a region code, or empty for everywhere, found {found}",
    ),
    "TERMS_BEGIN_PAST": (
        "期限表自 {found} 起，早于区块时间 {limit}",
        "the terms begin at {found}, before block time {limit}",
    ),
    "TERMS_UNKNOWN": ("没有登记地区 {found} 的期限表", "no terms are recorded for region {found}"),
    "TERM_TOO_LONG": (
        "{field} 最多 {limit} 个工作日，实际 {found}",
        "{field} is at most {limit} working days, found {found}",
    ),
}
