"""Open data: what departments propose to open to the public, its review, its releases, and how often they were downloaded.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.datasets import DatasetRecord, DownloadReport, Release
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class OpenData:
    """The system contract `open_data` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def propose(
        self,
        *,
        resource: str,
        items: Sequence[str],
        format: str,  # noqa: A002 - the name in the ABI
        terms: str,
    ) -> FinalReceipt:
        """Propose to open a resource of the caller's department, or some of its items; also anew after it was declined or stopped.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "open_data",
            "propose",
            resource=resource,
            items=list(items),
            format=format,
            terms=terms,
        )

    def clear(self, *, resource: str, reason: str) -> FinalReceipt:
        """State, after review, that a proposed dataset may be opened as it is; `reason` may be empty.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("open_data", "clear", resource=resource, reason=reason)

    def decline(self, *, resource: str, reason: str) -> FinalReceipt:
        """State, after review, why a proposed dataset may not be opened.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("open_data", "decline", resource=resource, reason=reason)

    def release(self, *, resource: str, place: str, digest: bytes, size_bytes: int, rows: int) -> FinalReceipt:
        """Publish a cleared dataset of the caller's department, or its next release, and return the release's number.

        For: publisher. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        The receipt's output is a uint64.
        """
        return self._client.call(
            "open_data",
            "release",
            resource=resource,
            place=place,
            digest=digest,
            size_bytes=size_bytes,
            rows=rows,
        )

    def stop(self, *, resource: str, reason: str) -> FinalReceipt:
        """End the opening of a dataset, by its provider or a governor; a proposed or cleared one is taken back.

        For: publisher, governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("open_data", "stop", resource=resource, reason=reason)

    def report_downloads(self, *, resource: str, number: int, from_ms: int, to_ms: int, downloads: int) -> FinalReceipt:
        """Report how often a dataset was downloaded in a period that begins where the last report's ended; the same again changes nothing.

        For: recorder. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "open_data",
            "report_downloads",
            resource=resource,
            number=number,
            from_ms=from_ms,
            to_ms=to_ms,
            downloads=downloads,
        )

    def dataset(self, resource: str) -> DatasetRecord:
        """Return the dataset of a resource."""
        found: DatasetRecord = ask(self._client, "open_data", "dataset", resource=resource)
        return found

    def release_of(self, *, resource: str, number: int) -> Release:
        """Return one release of a dataset."""
        found: Release = ask(self._client, "open_data", "release_of", resource=resource, number=number)
        return found

    def download_report(self, *, resource: str, number: int) -> DownloadReport:
        """Return one report of a dataset's downloads."""
        found: DownloadReport = ask(self._client, "open_data", "download_report", resource=resource, number=number)
        return found
