"""Datasets that are or were proposed to be open: their records, their states, and that one ends with what the catalogue offers."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.fields import Address, Bytes32, TimeMs, Uint64
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table

MAX_STEPS: Final = 64
"""States that one dataset goes through."""
STEPS_OF_PROPOSAL: Final = 4
"""The most that one proposal comes to: proposed, cleared, published, stopped."""

PROPOSED: Final = "proposed"
CLEARED: Final = "cleared"
DECLINED: Final = "declined"
PUBLISHED: Final = "published"
STOPPED: Final = "stopped"
STATES: Final[dict[str, tuple[str, str]]] = {
    PROPOSED: ("待审核", "waiting for review"),
    CLEARED: ("审核通过", "cleared"),
    DECLINED: ("审核未通过", "declined"),
    PUBLISHED: ("已开放", "published"),
    STOPPED: ("已停止开放", "stopped"),
}
"""Every state of a dataset, in Chinese and English."""
RUNNING: Final = (PROPOSED, CLEARED, PUBLISHED)
"""States in which the public has a dataset, or may come to have it."""


class DatasetStep(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a dataset was in a state, by whom, and why."""

    state: str
    from_ms: TimeMs
    reason: str
    operator: Address


class Release(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What was put where for the public: place (a URL), SM3 digest of the file, size and rows."""

    number: Uint64
    place: str
    digest: Bytes32
    size_bytes: Uint64
    rows: Uint64
    released_ms: TimeMs


class DatasetRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A dataset that is or was proposed to be open; `history` has the oldest state first, the last release is number 0 before any."""

    resource: str
    resource_version: Uint64
    """The version of the resource that was proposed."""
    provider: str
    items: tuple[str, ...]
    """Names of the items that are opened; none stands for all."""
    format: str
    terms: str
    """Terms of use, or the condition under which it is open."""
    history: tuple[DatasetStep, ...]
    release: Release
    downloads: Uint64
    """Reported downloads of all releases."""
    report_count: Uint64
    reported_to_ms: TimeMs
    """Until when downloads were reported, 0 before the first report."""

    @property
    def state(self) -> str:
        """The newest state."""
        return self.history[-1].state


class DownloadReport(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How often a dataset was downloaded in a period; numbers of one dataset's reports have no gap, their periods neither."""

    resource: str
    number: Uint64
    from_ms: TimeMs
    to_ms: TimeMs
    downloads: Uint64
    reporter: Address
    reported_ms: TimeMs


NO_RELEASE: Final = Release(0, "", bytes(32), 0, 0, 0)

DATASETS: Final = Table("open_data", 1, DatasetRecord)
RELEASES: Final = Table("open_data", 2, Release)
REPORTS: Final = Table("open_data", 3, DownloadReport)
CONTRACT: Final = SystemContract("open_data")
DATASET_CHANGED: Final = CONTRACT.event("DatasetChanged", resource="string", provider="string", state="string")
RELEASED: Final = CONTRACT.event("DatasetReleased", resource="string", number="uint64", digest="bytes32")
DOWNLOADED: Final = CONTRACT.event(
    "DownloadsReported", resource="string", number="uint64", to_ms="int64", downloads="uint64"
)


def load_dataset(state: Reader, resource: str) -> DatasetRecord | None:
    """Return the dataset of a resource, or None."""
    return DATASETS.load(state, resource.encode())


def enter(ctx: Context, record: DatasetRecord, state: str, reason: str) -> None:
    """Put a dataset into another state, by the caller."""
    history = (*record.history, DatasetStep(state, ctx.time_ms, reason, ctx.sender))
    DATASETS.save(ctx, record.resource.encode(), msgspec.structs.replace(record, history=history))
    ctx.emit(DATASET_CHANGED, record.resource, record.provider, state)


def end_dataset(ctx: Context, resource: str, reason: str) -> None:
    """Stop what is open of a resource, or proposed to be, since the catalogue no longer offers it to the public."""
    known = load_dataset(ctx, resource)
    if known is not None and known.state in RUNNING:
        enter(ctx, known, STOPPED, reason)
