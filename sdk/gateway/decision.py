"""Whether a read may be answered, and with what: pure functions of the grant's record, the read, the time and what was used today."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, NamedTuple, TypeAlias

from contracts.data_sharing.sharing import GRANTED, RequestRecord, is_in_force
from sdk.gateway.body import Cut
from sdk.gateway.denials import Denied

Places: TypeAlias = Mapping[str, tuple[IPv4Network | IPv6Network, ...]]
"""The networks that a grant's place of use stands for."""


class AskedRead(NamedTuple):
    """What a read claims: the resource of its route, who asks, why, and from where."""

    resource: str
    provider: str
    consumer: str
    purpose: str
    case_type: str
    case_number: str
    client_host: str


class Usage(NamedTuple):
    """What was answered under a grant in the course of a day."""

    reads: int
    rows: int


class QuotaPart(NamedTuple):
    """Which of how many gateways before one resource this is, from 1: what they give out of a quota is the whole of it."""

    number: int
    gateways: int

    def of(self, limit: int) -> int:
        """Return how much of a limit is this gateway's."""
        return limit * self.number // self.gateways - limit * (self.number - 1) // self.gateways


WHOLE: Final = QuotaPart(1, 1)


class Permission(NamedTuple):
    """What may leave: `cut` says which columns and how masked; the limits are the grant's, 0 for none."""

    cut: Cut
    max_rows_per_read: int
    max_reads_per_day: int
    max_rows_per_day: int

    @property
    def has_quota(self) -> bool:
        """Whether what is used in a day counts."""
        return bool(self.max_reads_per_day or self.max_rows_per_day)

    @property
    def needs_rows(self) -> bool:
        """Whether an answer must be one that rows can be counted and cut in."""
        return not self.cut.is_whole or self.cut.is_counted


def decide(record: RequestRecord, read: AskedRead, now_ms: int, places: Places) -> Permission:
    """Return what may leave under a grant; raise Denied with the first thing that is not as the grant has it."""
    if (record.consumer, record.provider) != (read.consumer, read.provider):
        raise Denied("NOT_THE_CONSUMER")
    if record.resource != read.resource:
        raise Denied("OTHER_RESOURCE", record.resource)
    check_in_force(record, now_ms)
    if read.purpose != record.purpose:
        raise Denied("PURPOSE_DIFFERS")
    if not read.case_number:
        raise Denied("CASE_MISSING")
    if record.case_types and read.case_type not in record.case_types:
        raise Denied("CASE_TYPE_OUTSIDE", read.case_type)
    conditions = record.conditions
    if conditions.place:
        _check_place(conditions.place, read.client_host, places)
    columns = conditions.columns or record.items
    return Permission(
        Cut(
            frozenset(columns) if columns else None,
            tuple(conditions.masks),
            bool(conditions.max_rows_per_read or conditions.max_rows_per_day),
        ),
        conditions.max_rows_per_read,
        conditions.max_reads_per_day,
        conditions.max_rows_per_day,
    )


def check_quota(permission: Permission, used: Usage, part: QuotaPart = WHOLE) -> None:
    """Return if another read may be tried today under the part of a quota that is one gateway's; raise Denied."""
    if permission.max_reads_per_day and used.reads >= part.of(permission.max_reads_per_day):
        raise Denied("READS_USED_UP", str(used.reads))
    if permission.max_rows_per_day and used.rows >= part.of(permission.max_rows_per_day):
        raise Denied("ROWS_USED_UP", str(used.rows))


def check_rows(permission: Permission, rows: int) -> None:
    """Return if one answer may have so many rows; raise Denied."""
    if permission.max_rows_per_read and rows > permission.max_rows_per_read:
        raise Denied("ROWS_PER_READ_EXCEEDED", f"{rows} > {permission.max_rows_per_read}")


def count_use(permission: Permission, rows: int, used: Usage, part: QuotaPart = WHOLE) -> Usage:
    """Return what is used with one more answer of so many rows; raise Denied where that is more than the part of a day's quota."""
    if permission.max_reads_per_day and used.reads >= part.of(permission.max_reads_per_day):
        raise Denied("READS_USED_UP", str(used.reads))
    most_rows = part.of(permission.max_rows_per_day)
    if permission.max_rows_per_day and used.rows + rows > most_rows:
        raise Denied("ROWS_USED_UP", f"{used.rows} + {rows} > {most_rows}")
    return Usage(used.reads + 1, used.rows + rows)


def check_in_force(record: RequestRecord, now_ms: int) -> None:
    """Return if a grant is in force; raise Denied with why it is not."""
    if is_in_force(record, now_ms):
        return
    if record.state == GRANTED and now_ms < record.from_ms:
        raise Denied("GRANT_NOT_BEGUN")
    if record.state == GRANTED and now_ms > record.to_ms:
        raise Denied("GRANT_EXPIRED")
    raise Denied("GRANT_NOT_IN_FORCE", record.state)


def _check_place(place: str, client_host: str, places: Places) -> None:
    networks = places.get(place)
    if networks is None:
        raise Denied("PLACE_NOT_CONFIGURED", place)
    try:
        address = ip_address(client_host.removeprefix("::ffff:"))
    except ValueError:
        raise Denied("PLACE_OUTSIDE") from None
    if not any(address in network for network in networks):
        raise Denied("PLACE_OUTSIDE", client_host)
