"""Refusals of contracts name times, statuses and operations as people do."""

from __future__ import annotations

from contracts.refusals import Refused
from sdk.errors import CallRefused


def texts(code: str, **facts: object) -> tuple[str, str]:
    refused = CallRefused(code, *Refused(code, **facts).texts, bytes(32), 1)
    return refused.zh, refused.en


def test_times_are_times() -> None:
    zh, en = texts("AUTHORISATION_WITHDRAWN", found="ab" * 32, since=1795304071519)
    assert "2026-11-22 07:34:31 (UTC+8)" in zh
    assert "1795304071519" not in zh + en
    assert "ab" * 32 in zh
    zh, en = texts("NOT_EXPIRED", found=1795304071519, limit=253402271999999)
    assert "有效期至 长期" in zh
    assert "without end" in en
    zh, en = texts("TERMS_BEGIN_PAST", found=1795304071518, limit=1795304071519)
    assert "期限表自 2026-11-22 07:34:31 (UTC+8) 起" in zh
    zh, en = texts("RECALL_IN_FUTURE", found=1795363199999, limit=1795304071519)
    assert ("召回的数据截至 2026-11-22 23:59:59 (UTC+8)" in zh, "1795" in zh + en) == (True, False)


def test_statuses_and_operations_have_their_names() -> None:
    zh, en = texts("STATUS_FORBIDS", found="03", operation="06")
    assert "状态 03 撤销" in zh
    assert "操作 06 暂扣发还 可用于 02 暂扣, 99 其他" in zh
    assert "operation 06 return from suspension is for 02 suspended, 99 other" in en
    zh, _ = texts("STATUS_NOT_REACHABLE", operation="04", found="03")
    assert "操作 04 过期失效 可得到 05 失效" in zh
    assert (
        texts("STATUS_FORBIDS", found="77", operation="06")
        == Refused("STATUS_FORBIDS", found="77", operation="06").texts
    )


def test_states_are_named_in_the_language_of_the_text() -> None:
    zh, en = texts("REQUEST_STATE", found="granted", expected="waiting | returned")
    assert (zh, en) == (
        "申请状态为 已授权，此操作需要 待答复 | 退回补正",
        "the request is granted, this needs it to be waiting | returned",
    )
    assert "已撤回" in texts("FACT_STATE", found="taken_back", expected="proposed")[0]
    assert "开放" in texts("DATASET_STATE", found="published", expected="proposed")[0]
    assert "登记失效" in texts("PRODUCT_ENDED", found="x", state="rejected")[0]


def test_other_refusals_stay() -> None:
    refused = CallRefused("SERIAL_TAKEN", "流水号 1795304071519", "serial 1795304071519", bytes(32), 1)
    assert (refused.zh, refused.en) == ("流水号 1795304071519", "serial 1795304071519")
