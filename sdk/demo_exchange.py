"""The demonstration's exchange: a sealed file from department to department, and what follows where its data was wrong."""

from __future__ import annotations

import csv
import io
import random
import time
from pathlib import Path
from typing import Any, Final

from contracts.data_sharing import corrections, disputes
from contracts.data_sharing.deliveries import RECEIVED, DeliveryRecord, delivery_key
from contracts.data_sharing.resources import GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from sdk.client import Client
from sdk.data_exchange.exchange import receive_payload, record_delivery, seal_payload, set_encryption_key
from sdk.demo_stage import CONSUMER, GOVERNOR, HOUR_MS, PROVIDER, DemoFailed, Stage, check_verdict
from sdk.proofs import export_proof, verify_proof_file
from sdk.system_contracts.catalogue import Catalogue
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

RESOURCE: Final = ResourceDescription(
    code="307003001/0003",
    name="楼盘表月度数据",
    summary="按月整份交换，不含个人信息",
    format="CSV",
    items=tuple(ResourceItem(name, "C") for name in ("不动产单元号", "坐落", "面积")),
    sharing_type=UNCONDITIONAL,
    sharing_basis="",
    sharing_method="文件交换",
    update_cycle=4,
    data_class=GENERAL,
)
ROWS: Final = 500
WRONG_ROW: Final = 17
ADMINISTRATOR: Final = "housing-administrator"
"""Sets the encryption key of the department that receives."""


class ExchangeDemonstration:
    """Runs the steps in order, through the first node; the grant stays in force."""

    def __init__(self, stage: Stage) -> None:
        """Remember where; nothing is made yet."""
        self._stage = stage
        self._key = PrivateKey.generate()
        self._grant = b""

    def run(self) -> None:
        """Exchange a file, correct, recall and dispute what was wrong in it; raise GovnodeError at the first that does not hold."""
        stage = self._stage
        with stage.client(PROVIDER) as provider, stage.client(CONSUMER) as consumer, stage.client(GOVERNOR) as governor:
            self._agree(provider, consumer, governor)
            first, payload = self._exchange(provider, consumer, "housing-units-1", "185.30")
            self._prove(consumer, first)
            self._correct(provider, consumer)
            self._recall(provider, consumer, first, payload)
            self._dispute(provider, consumer, governor)
            self._show_clocks(consumer)
        url = ("--url", stage.network.nodes[0].url)
        grant = self._grant.hex()
        stage.offer("查看全部交付与签收", "see every delivery and its answer", "exchange", "list", grant, *url)
        stage.offer("查看申请、校核、召回与异议", "see the request and its cases", "share", "show", grant, *url)

    def _agree(self, provider: Client, consumer: Client, governor: Client) -> None:
        """Give the consumer an encryption key, and have it ask for what is shared without conditions."""
        stage, now_ms = self._stage, time.time_ns() // 1_000_000
        department = stage.network.account(CONSUMER).department
        administrator, _ = stage.add_account(governor, department, ADMINISTRATOR, "administrator")
        with Client(stage.network.nodes[0].url, Signer(administrator)) as client:
            set_encryption_key(client, self._key)
        stage.save_key("housing-encryption", self._key)
        Catalogue(provider).publish(resource=RESOURCE, replaces=0)
        asked = Sharing(consumer).request(
            resource=RESOURCE.code,
            purpose="新建商品房网签备案的楼盘表核对",
            legal_basis="政务数据共享条例",
            items=[],
            case_types=[],
            rows_per_day=0,
            from_ms=now_ms - HOUR_MS,
            to_ms=now_ms + 365 * 24 * HOUR_MS,
        )
        self._grant = bytes(asked.transaction_id)

    def _exchange(self, provider: Client, consumer: Client, name: str, area: str) -> tuple[DeliveryRecord, Path]:
        """Have a file sealed, recorded, opened and answered for; return its delivery and the consumer's copy."""
        stage = self._stage
        source = stage.write(f"{name}.csv", _table(area))
        sealed, opened = stage.out / f"{name}.govx", stage.out / f"{name}.received.csv"
        record_delivery(provider, seal_payload(provider, source, sealed, self._grant, ROWS))
        # Any medium carries it: here the file lies where both sides see it.
        received = receive_payload(consumer, self._key, sealed, opened)
        is_same = opened.read_bytes() == source.read_bytes() and received.delivery.answer == RECEIVED
        if not is_same or source.read_bytes()[:60] in sealed.read_bytes():
            raise DemoFailed("EXCHANGE_WRONG", f"交换有误：{received}", f"the exchange is wrong: {received}")
        return received.delivery, opened

    def _prove(self, consumer: Client, delivery: DeliveryRecord) -> None:
        """Prove offline what both sides said of a delivery."""
        stage = self._stage
        key = delivery_key(delivery.grant, delivery.number)
        proof = stage.write("delivery.proof.json", export_proof(consumer, key))
        check_verdict(verify_proof_file(proof, None, stage.network.trust), accepted=True, code="RECORDED")
        sealed = stage.out / "housing-units-1.govx"
        stage.say(
            f"“{RESOURCE.name}”无条件共享，申请即授权；{ROWS} 行的文件以 SM4 封装、密钥以 SM2 封给使用方，点对点送达，"
            f"账本上只有摘要；使用方打开、核对、签收；交付证明离线核验通过",
            f"data shared without conditions, granted as soon as it was asked for: a file of {ROWS} rows sealed with SM4, its key with "
            "SM2 to the consumer, went from one to the other, with digests on the ledger alone; opened, compared, answered for; and both "
            "sides' word is proved offline",
            sealed,
            proof,
        )
        stage.offer("离线核验交付", "verify the delivery, offline", "verify", proof, "--trust", stage.network.trust)

    def _correct(self, provider: Client, consumer: Client) -> None:
        """Have a wrong value corrected, and the file delivered again."""
        sharing = Sharing(consumer)
        sharing.ask_correction(
            request=self._grant, item="面积", claim=f"第 {WRONG_ROW} 行面积与测绘成果不符", evidence=bytes(32)
        )
        Sharing(provider).answer_correction(
            request=self._grant, number=1, outcome=corrections.CORRECTED, answer="已更正，另行交付"
        )
        second, _ = self._exchange(provider, consumer, "housing-units-2", "158.30")
        self._stage.say(
            f"使用方校核：第 {WRONG_ROW} 行面积有误；提供方更正并作第 {second.number} 次交付，序号连续，一次也抹不去",
            f"the consumer found row {WRONG_ROW} wrong; the provider corrected it and delivered anew: delivery {second.number}, and no "
            "number can be left out",
        )

    def _recall(self, provider: Client, consumer: Client, first: DeliveryRecord, payload: Path) -> None:
        """Recall what was delivered first, have it destroyed, and leave the grant in force."""
        Sharing(provider).recall(
            request=self._grant,
            from_ms=first.delivered_ms,
            to_ms=first.delivered_ms + 1,
            ends_grant=False,
            reason="首份数据有误，以更正后的为准",
        )
        payload.unlink()
        statement = self._stage.write("destroyed.txt", f"{payload.name} 已于收到召回后销毁（演示）\n".encode())
        Sharing(consumer).confirm_recall(
            request=self._grant, number=1, statement=sm3(statement.read_bytes()), note="已销毁"
        )
        self._stage.say(
            "提供方召回第一份（授权不变）；使用方销毁并确认，销毁说明的摘要上链",
            "the provider recalled the first file and left the grant in force; the consumer destroyed it and confirmed, with the digest of "
            "its statement on the ledger",
            statement,
        )

    def _dispute(self, provider: Client, consumer: Client, governor: Client) -> None:
        """Have one side raise a dispute, the other answer it, and a governor of neither decide."""
        Sharing(consumer).raise_dispute(
            request=self._grant, kind="quality", claim="同一字段连续两月有误，请提供方建立校验", evidence=bytes(32)
        )
        Sharing(provider).answer_dispute(request=self._grant, number=1, answer="已与测绘成果库逐月比对")
        authority = Sharing(governor)
        authority.take_dispute(request=self._grant, number=1)
        authority.decide_dispute(
            request=self._grant,
            number=1,
            outcome=disputes.UPHELD,
            order=disputes.NO_ORDER,
            decision="异议成立，提供方已整改",
        )
        self._stage.say(
            "使用方提出异议（数据质量），提供方答复，双方之外的治理方受理并裁定：成立",
            "the consumer raised a dispute about quality, the provider answered, and a governor of neither took it up and upheld it",
        )

    def _show_clocks(self, consumer: Client) -> None:
        """Show what was due by when, and that all of it was done in time."""
        items: list[dict[str, Any]] = consumer.get(f"/requests/{self._grant.hex()}/deadlines")["items"]
        kinds = {one["kind"] for one in items}
        if not kinds >= {"correction", "recall", "dispute"} or any(one["is_open"] or one["days_late"] for one in items):
            raise DemoFailed("CLOCKS_WRONG", f"期限有误：{items}", f"the clocks are wrong: {items}")
        zh = "、".join(f"{one['kind_text']['zh']} {one['working_days']}" for one in items)
        en = ", ".join(f"{one['kind_text']['en']} {one['working_days']}" for one in items)
        self._stage.say(
            f"法定期限（工作日）：{zh}；均按期办结", f"statutory terms in working days: {en}; all was done in time"
        )


def _table(area: str) -> bytes:
    """Return the table of the month, made up, with one area as given."""
    made, text = random.Random(2026), io.StringIO()  # noqa: S311 - values of a demonstration, the same in each run
    writer = csv.writer(text)
    writer.writerow(item.name for item in RESOURCE.items)
    for number in range(1, ROWS + 1):
        unit = f"990101001001GB00002F{number:08d}"
        value = area if number == WRONG_ROW else f"{made.uniform(40, 180):.2f}"
        writer.writerow((unit, f"示例路{number}号", value))
    return text.getvalue().encode("utf-8-sig")
