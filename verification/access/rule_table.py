"""The rules of an audit: which findings there are, who has to explain each, and the figures that decide, in one table."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from contracts.data_sharing.audit_figures import FIGURES

Figure = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Minute = Annotated[int, msgspec.Meta(ge=0, le=1_440)]
Days = Annotated[int, msgspec.Meta(ge=1, le=366)]

RULES: Final[dict[str, tuple[str, str]]] = {
    "READ_WITHOUT_GRANT": ("无有效授权的读取", "read without a grant in force"),
    "OVER_QUOTA": ("超出授权限额", "over the quota of the grant"),
    "OUTSIDE_PURPOSE": ("超出授权用途或事项", "outside the purpose or the cases of the grant"),
    "OUTSIDE_COLUMNS": ("超出授权的数据项", "items that the grant does not cover"),
    "OUTSIDE_HOURS": ("工作时间以外的读取", "read outside working hours"),
    "UNUSUAL_VOLUME": ("读取量异常（与本部门以往相比）", "unusual volume against the department's own history"),
    "DENIED_OFTEN": ("频繁被拒绝的读取", "reads denied again and again"),
    "IRREGULAR_READ": ("授权之外提供的数据", "data served outside the grant"),
    "SIDES_DISAGREE": ("提供方与使用方记录不一致", "provider and consumer disagree"),
    "ONE_SIDED": ("仅一方有记录", "recorded by one side only"),
    "RECORDED_FOR_OTHERS": ("替他方登记的读取", "recorded by a department that is not that side"),
    "READ_TWICE": ("同一读取登记两次", "one read recorded twice"),
    "BACK_DATED": ("读取时间倒填", "read dated back"),
    "ANCHORED_LATE": ("延迟上链", "anchored late"),
    "STREAM_SILENT": ("记录流中断", "stream fell silent"),
    "BODY_WITHHELD": ("记录正文未提供", "bodies of records withheld"),
    "STORE_ALTERED": ("记录库被改动", "store of records altered"),
}
"""Every rule by its code, in Chinese and English."""


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures by which the rules decide; what they are of in FIGURES is published by department, and an auditor may try others.

    Times of the day are minutes after midnight in Beijing; hours that end before they begin go over midnight.
    """

    without: tuple[str, ...] = ()
    """Rules that are not applied."""
    clock_tolerance_ms: Figure = 5_000
    """How far clocks and blocks may be apart when a grant begins or ends."""
    day_from_minute: Minute = FIGURES["day_from_minute"].preset
    day_to_minute: Minute = FIGURES["day_to_minute"].preset
    only_working_days: bool = bool(FIGURES["only_working_days"].preset)
    volume_percent: Figure = FIGURES["volume_percent"].preset
    """Of the median of the days before, past which a day's reads are unusual."""
    volume_history_days: Days = FIGURES["volume_history_days"].preset
    volume_least_days: Days = FIGURES["volume_least_days"].preset
    """Days of history without which nothing is unusual."""
    volume_least_reads: Figure = FIGURES["volume_least_reads"].preset
    """Of a day, below which it is never unusual."""
    denied_per_day: Figure = FIGURES["denied_per_day"].preset
    """Reads denied to one department for one resource in a day, past which they are a finding."""
    edge_ms: Figure = 60_000
    """How far from the ends of the period a read may stand on one side only: the other side's may lie outside."""
    dated_back_ms: Figure = 300_000
    """How far the times that a read tells may lie from when it took its place in the stream."""
    late_s: Figure = 120
    """How much later than its heartbeat promises a batch may be recorded."""


DEFAULT_TABLE: Final = RuleTable()
