"""Open data: what departments propose to open to the public, its review, its releases, and how often they were downloaded.

A dataset is named by its resource's code in the catalogue. The data itself lies where the department puts it; the ledger has its digest.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import GOVERNOR, PUBLISHER, RECORDER
from contracts.data_sharing import catalogue
from contracts.data_sharing.datasets import (
    CLEARED,
    CONTRACT,
    DATASETS,
    DECLINED,
    DOWNLOADED,
    MAX_STEPS,
    NO_RELEASE,
    PROPOSED,
    PUBLISHED,
    RELEASED,
    RELEASES,
    REPORTS,
    RUNNING,
    STEPS_OF_PROPOSAL,
    STOPPED,
    DatasetRecord,
    DownloadReport,
    Release,
    enter,
)
from contracts.data_sharing.resources import CORE, MAX_ITEMS, ResourceItem
from contracts.data_sharing.working_days import day_end_ms, day_of, format_time
from contracts.fields import (
    Bytes32,
    TimeMs,
    Uint64,
    check_digest,
    check_list,
    check_optional_text,
    check_period,
    check_text,
)
from contracts.frame import Context
from contracts.records import Reader
from contracts.refusals import Refused

MAX_TERMS_LENGTH: Final = 500
MAX_FORMAT_LENGTH: Final = 64
MAX_PLACE_LENGTH: Final = 500
MAX_REASON_LENGTH: Final = 500


@CONTRACT.write(PUBLISHER)
def propose(ctx: Context, resource: str, items: list[str], format: str, terms: str) -> None:  # noqa: A002 - as in the catalogue
    """Propose to open a resource of the caller's department, or some of its items; also anew after it was declined or stopped."""
    check_text("format", format, MAX_FORMAT_LENGTH)
    check_text("terms", terms, MAX_TERMS_LENGTH)
    offered = _load_open(ctx, resource)
    check_list("items", items, MAX_ITEMS)
    known_items = {item.name for item in offered.items}
    for item in items:
        if item not in known_items:
            raise Refused("ITEM_UNKNOWN", found=item)
    known = DATASETS.load(ctx, resource.encode())
    if known is None:
        known = DatasetRecord(
            resource, offered.version, offered.provider, tuple(items), format, terms, (), NO_RELEASE, 0, 0, 0
        )
    else:
        _check_state(known, DECLINED, STOPPED)
        # What is opened can always be stopped: every other state takes its place among those that a proposal has room for.
        if len(known.history) > MAX_STEPS - STEPS_OF_PROPOSAL:
            raise Refused(
                "LIST_TOO_LONG", field="history", limit=MAX_STEPS, found=len(known.history) + STEPS_OF_PROPOSAL
            )
        known = msgspec.structs.replace(
            known, resource_version=offered.version, items=tuple(items), format=format, terms=terms
        )
    enter(ctx, known, PROPOSED, "")


@CONTRACT.write(GOVERNOR)
def clear(ctx: Context, resource: str, reason: str) -> None:
    """State, after review, that a proposed dataset may be opened as it is; `reason` may be empty."""
    check_optional_text("reason", reason, MAX_REASON_LENGTH)
    known = _load_dataset(ctx, resource)
    _check_state(known, PROPOSED)
    offered = _load_open(ctx, resource, is_providers=False)
    if offered.version != known.resource_version:
        raise Refused("VERSION_CHANGED", found=known.resource_version, expected=offered.version)
    enter(ctx, known, CLEARED, reason)


@CONTRACT.write(GOVERNOR)
def decline(ctx: Context, resource: str, reason: str) -> None:
    """State, after review, why a proposed dataset may not be opened."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    known = _load_dataset(ctx, resource)
    _check_state(known, PROPOSED)
    enter(ctx, known, DECLINED, reason)


@CONTRACT.write(PUBLISHER)
def release(ctx: Context, resource: str, place: str, digest: Bytes32, size_bytes: Uint64, rows: Uint64) -> Uint64:
    """Publish a cleared dataset of the caller's department, or its next release, and return the release's number.

    It is what was reviewed: refused where the entry's items that were to be opened, or its class of data, are others by now.
    """
    check_text("place", place, MAX_PLACE_LENGTH)
    check_digest("digest", digest)
    known = _load_dataset(ctx, resource)
    catalogue.check_provider(ctx, known.provider)
    _check_state(known, CLEARED, PUBLISHED)
    offered = _load_open(ctx, resource)
    if not _is_as_reviewed(ctx, known, offered):
        raise Refused("VERSION_CHANGED", found=known.resource_version, expected=offered.version)
    made = Release(known.release.number + 1, place, digest, size_bytes, rows, ctx.time_ms)
    RELEASES.save(ctx, _numbered(resource, made.number), made)
    ctx.emit(RELEASED, resource, made.number, digest)
    published = msgspec.structs.replace(known, release=made)
    if known.state == PUBLISHED:
        DATASETS.save(ctx, resource.encode(), published)
    else:
        enter(ctx, published, PUBLISHED, "")
    return made.number


@CONTRACT.write(PUBLISHER, GOVERNOR)
def stop(ctx: Context, resource: str, reason: str) -> None:
    """End the opening of a dataset, by its provider or a governor; a proposed or cleared one is taken back."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    known = _load_dataset(ctx, resource)
    if GOVERNOR not in ctx.account.roles:
        catalogue.check_provider(ctx, known.provider)
    _check_state(known, *RUNNING)
    enter(ctx, known, STOPPED, reason)


@CONTRACT.write(RECORDER)
def report_downloads(
    ctx: Context, resource: str, number: Uint64, from_ms: TimeMs, to_ms: TimeMs, downloads: Uint64
) -> None:
    """Report how often a dataset was downloaded in a period that begins where the last report's ended; the same again changes nothing.

    The first one's begins with the day of the first release, or later.
    """
    known = _load_dataset(ctx, resource)
    catalogue.check_provider(ctx, known.provider)
    if 0 < number <= known.report_count:
        stated = ctx.require(REPORTS, _numbered(resource, number), "REPORT_UNKNOWN", number)
        if (stated.from_ms, stated.to_ms, stated.downloads) != (from_ms, to_ms, downloads):
            raise Refused("REPORT_REWRITTEN", found=number)
        return
    if number != known.report_count + 1:
        raise Refused("REPORT_GAP", expected=known.report_count + 1, found=number)
    if not known.release.number:
        raise Refused("DATASET_STATE", found=known.state, expected=PUBLISHED)
    check_period("from_ms", from_ms, "to_ms", to_ms)
    begin_ms = known.reported_to_ms
    if not known.report_count:
        first = ctx.require(RELEASES, _numbered(resource, 1), "RELEASE_UNKNOWN", 1)
        # The whole day: people name days.
        begin_ms = max(from_ms, day_end_ms(day_of(first.released_ms) - 1) + 1)
    if from_ms != begin_ms or to_ms > ctx.time_ms:
        raise Refused(
            "REPORT_PERIOD",
            start=format_time(begin_ms),
            limit=format_time(ctx.time_ms),
            found=format_time(from_ms),
            end=format_time(to_ms),
        )
    report = DownloadReport(resource, number, from_ms, to_ms, downloads, ctx.sender, ctx.time_ms)
    REPORTS.save(ctx, _numbered(resource, number), report)
    total = known.downloads + downloads
    if total >= 2**63:
        raise Refused("COUNT_TOO_LARGE", found=downloads)
    counted = msgspec.structs.replace(known, downloads=total, report_count=number, reported_to_ms=to_ms)
    DATASETS.save(ctx, resource.encode(), counted)
    ctx.emit(DOWNLOADED, resource, number, to_ms, downloads)


@CONTRACT.view()
def dataset(ctx: Context, resource: str) -> DatasetRecord:
    """Return the dataset of a resource."""
    return ctx.require(DATASETS, resource.encode(), "DATASET_UNKNOWN", resource)


@CONTRACT.view()
def release_of(ctx: Context, resource: str, number: Uint64) -> Release:
    """Return one release of a dataset."""
    return ctx.require(RELEASES, _numbered(resource, number), "RELEASE_UNKNOWN", number)


@CONTRACT.view()
def download_report(ctx: Context, resource: str, number: Uint64) -> DownloadReport:
    """Return one report of a dataset's downloads."""
    return ctx.require(REPORTS, _numbered(resource, number), "REPORT_UNKNOWN", number)


def load_release(state: Reader, resource: str, number: int) -> Release | None:
    """Return one release of a dataset, or None."""
    return RELEASES.load(state, _numbered(resource, number))


def load_report(state: Reader, resource: str, number: int) -> DownloadReport | None:
    """Return one report of a dataset's downloads, or None."""
    return REPORTS.load(state, _numbered(resource, number))


def _load_dataset(ctx: Context, resource: str) -> DatasetRecord:
    return ctx.require(DATASETS, resource.encode(), "DATASET_UNKNOWN", resource)


def _load_open(ctx: Context, code: str, is_providers: bool = True) -> catalogue.ResourceRecord:
    """Return a resource that its entry says is open; refuse another department's where it must be the caller's own."""
    offered = catalogue.load_offered(ctx, code)
    if is_providers:
        catalogue.check_provider(ctx, offered.provider)
    described = offered.description
    if not described.is_open or described.is_secret or described.data_class == CORE:
        raise Refused("RESOURCE_NOT_OPEN", found=code)
    return offered


def _is_as_reviewed(ctx: Context, known: DatasetRecord, offered: catalogue.ResourceRecord) -> bool:
    """Return whether a dataset's items and its class of data are still those of the version that was reviewed."""
    reviewed = catalogue.load_version(ctx, known.resource, known.resource_version)
    return reviewed is not None and _opened(known, reviewed) == _opened(known, offered)


def _opened(known: DatasetRecord, offered: catalogue.ResourceRecord) -> tuple[int, list[ResourceItem]]:
    items = [item for item in offered.items if not known.items or item.name in known.items]
    return offered.description.data_class, items


def _check_state(record: DatasetRecord, *expected: str) -> None:
    if record.state not in expected:
        raise Refused("DATASET_STATE", found=record.state, expected=" | ".join(expected))


def _numbered(resource: str, number: int) -> bytes:
    return resource.encode() + number.to_bytes(8, "big")
