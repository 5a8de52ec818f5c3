"""What a proof of a delivery, a product, a fact or an objection says: the same words from the node's code and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from contracts.data_sharing.deliveries import DeliveryRecord, Parcel, delivery_key
from contracts.data_sharing.product_records import (
    Claim,
    FactRecord,
    ObjectionRecord,
    ProductRecord,
    Source,
    Terms,
    fact_key,
    objection_key,
    product_key,
)
from node.http.proof_file import KIND_NAMES, encode_proof_file
from sdk.trust import load_trust
from sm_crypto.sm3 import sm3
from tests.verification.page_in_node import NEEDS_NODE, Case, differences
from verification.proof_verdicts import OWN_WORDS
from verification.proofs import GivenDocument, verify_proof
from verification.record_words import CHOICES, CLAUSES

DAY_MS = 86_400_000
PAPER = b"paper"
LAND, HOUSING = "11990100MB0000002X", "11990100MB0000003A"
AT_MS = 1_780_000_000_000
PRODUCT = ProductRecord(
    f"{LAND}/A1",
    LAND,
    "登记数据集",
    "dataset",
    "按月汇总",
    (Source("307013001/000001", bytes(32)),),
    Claim(("hold", "operate"), "自行采集", sm3(PAPER)),
    AT_MS,
    bytes(20),
    "registered",
    AT_MS,
    "",
    2,
    1,
)
FACT = FactRecord(
    PRODUCT.code,
    2,
    Terms("transaction", "licence", 1_234_05, AT_MS, AT_MS + DAY_MS, sm3(PAPER), bytes(32), 1),
    LAND,
    HOUSING,
    AT_MS,
    bytes(20),
    "proposed",
    0,
    bytes(20),
    "",
)
OBJECTION = ObjectionRecord(PRODUCT.code, 1, HOUSING, "权属不清", bytes(32), AT_MS, "", 0, "open", "", 0)
DELIVERY = DeliveryRecord(
    b"\1" * 32,
    3,
    LAND,
    HOUSING,
    Parcel(b"\2" * 32, sm3(PAPER), 4_096, 4_200, 40, 1),
    AT_MS,
    bytes(20),
    0,
    bytes(32),
    "",
    0,
    bytes(20),
)
SAID: list[tuple[str, bytes, msgspec.Struct, dict[str, Any], list[str]]] = [
    (
        "registered",
        product_key(PRODUCT.code),
        PRODUCT,
        {},
        ["该部门自己的主张", "数据资源持有权、数据产品经营权", "现为已登记"],
    ),
    (
        "withdrawn",
        product_key(PRODUCT.code),
        PRODUCT,
        {"state": "withdrawn", "reason": "不再提供"},
        ["已注销", "不再提供"],
    ),
    ("proposed", fact_key(PRODUCT.code, 2), FACT, {}, ["1234.05 元", f"只是 {LAND} 一方所述", "有效至"]),
    (
        "confirmed",
        fact_key(PRODUCT.code, 2),
        FACT,
        {"state": "confirmed", "answered_ms": AT_MS, "terms": msgspec.structs.replace(FACT.terms, amount_fen=0)},
        [f"{HOUSING} 于 ", "双方已确认", "金额只见于文书"],
    ),
    (
        "declined",
        fact_key(PRODUCT.code, 2),
        FACT,
        {"state": "declined", "answered_ms": AT_MS, "reason": "金额有误"},
        ["不予确认", "金额有误"],
    ),
    (
        "taken back",
        fact_key(PRODUCT.code, 2),
        FACT,
        {"state": "taken_back", "answered_ms": AT_MS, "reason": "重拟"},
        [f"{LAND} 于 ", "已撤回"],
    ),
    ("replaced", fact_key(PRODUCT.code, 2), FACT, {"state": "replaced", "answered_ms": AT_MS}, ["已被后一记录取代"]),
    ("open", objection_key(PRODUCT.code, 1), OBJECTION, {}, ["权属不清", "尚未答复", "处理中"]),
    (
        "upheld",
        objection_key(PRODUCT.code, 1),
        OBJECTION,
        {
            "state": "upheld",
            "answer": "有协议",
            "answered_ms": AT_MS,
            "finding": "协议已失效",
            "decided_ms": AT_MS,
            "evidence": sm3(PAPER),
        },
        ["有协议", "异议成立，协议已失效"],
    ),
    ("unanswered", delivery_key(DELIVERY.grant, 3), DELIVERY, {}, ["第 3 次交付", "40 行", "使用方待签收"]),
    (
        "not taken",
        delivery_key(DELIVERY.grant, 3),
        DELIVERY,
        {"answer": 3, "answered_ms": AT_MS, "note": "格式不符"},
        ["拒收（格式不符）"],
    ),
    (
        "differs",
        delivery_key(DELIVERY.grant, 3),
        DELIVERY,
        {"answer": 2, "answered_ms": AT_MS, "received": sm3(PAPER), "note": "旧表"},
        [f"内容不符，收到的摘要为 {sm3(PAPER).hex()}（旧表）"],
    ),
]


@NEEDS_NODE
def test_the_page_says_of_deliveries_and_products_what_the_node_says(
    chain: Any, trust_path: Path, tmp_path: Path
) -> None:
    trust, now_ms = load_trust(trust_path), chain.time_ms + DAY_MS
    cases, told = [], []
    for name, key, record, changes, texts in SAID:
        chain.state[key] = msgspec.msgpack.encode(msgspec.structs.replace(record, **changes))
        proof = encode_proof_file(chain.prove(key))
        verdict = verify_proof(proof, None, trust, now_ms)
        told.append((verdict.code, [text for text in texts if text not in verdict.zh], "{" in verdict.zh + verdict.en))
        cases += [
            Case(name, proof),
            Case(f"{name}, with its paper", proof, PAPER),
            Case(f"{name}, another", proof, b"x"),
        ]
    assert told == [("RECORDED", [], False)] * len(SAID)
    codes = [verify_proof(case.proof, GivenDocument(PAPER), trust, now_ms).code for case in cases[1::3]]
    assert [name for (name, *_), code in zip(SAID, codes, strict=True) if code == "DOCUMENT_CHANGED"] == ["open"]
    assert differences(cases, trust_path, now_ms, tmp_path) == []


def test_every_kind_with_sentences_is_told_by_them() -> None:
    assert set(CLAUSES) == set(CHOICES) == OWN_WORDS
    assert set(KIND_NAMES) >= OWN_WORDS
