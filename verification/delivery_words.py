"""What a proof of a delivery says in words: both sides' word on a payload that went from one department to another."""

from __future__ import annotations

from contracts.data_sharing.deliveries import ANSWERS, UNANSWERED, DeliveryRecord
from verification.days import show_time


def delivery_words(delivery: DeliveryRecord) -> tuple[str, str]:
    """Return what the record of a delivery says, in Chinese and English: who recorded what for whom and when, and the answer."""
    parcel, told = delivery.parcel, show_time(delivery.delivered_ms)
    zh_answer, en_answer = ANSWERS[delivery.answer]
    if delivery.answer == UNANSWERED:
        zh, en = f"使用方{zh_answer}", f"the consumer has {en_answer}"
    else:
        answered = show_time(delivery.answered_ms)
        note = f"（{delivery.note}）" if delivery.note else ""
        zh = f"使用方于 {answered} 答复：{zh_answer}{note}"
        en = f"the consumer answered at {answered}: {en_answer}" + (f" ({delivery.note})" if delivery.note else "")
    return (
        f"账本上有此交付：{delivery.provider} 于 {told} 向 {delivery.consumer} 作第 {delivery.number} 次交付，"
        f"{parcel.rows} 行、{parcel.size} 字节；{zh}",
        f"the ledger holds this delivery: number {delivery.number} from {delivery.provider} to {delivery.consumer}, recorded at {told}, "
        f"{parcel.rows} rows, {parcel.size} bytes; {en}",
    )
