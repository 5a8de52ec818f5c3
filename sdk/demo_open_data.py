"""The demonstration's open data: what a department proposes to open, its review, its release, and a download that is counted."""

from __future__ import annotations

import time
from typing import Final

from contracts.data_sharing.resources import GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from sdk.client import Client
from sdk.demo_data_service import OPEN_PATH, OPEN_TABLE
from sdk.demo_stage import CATCH_UP_TIMEOUT_S, GOVERNOR, PROVIDER, DemoFailed, Stage
from sdk.http_client import open_http
from sdk.system_contracts.catalogue import Catalogue
from sdk.system_contracts.open_data import OpenData
from sm_crypto.sm3 import sm3

RESOURCE: Final = ResourceDescription(
    code="307003001/0004",
    name="不动产登记办件量",
    summary="按月按登记类型的办件数量，不含个人信息",
    format="CSV",
    items=(ResourceItem("月份", "C"), ResourceItem("登记类型", "C"), ResourceItem("办件量", "N")),
    sharing_type=UNCONDITIONAL,
    sharing_basis="",
    sharing_method="文件下载",
    update_cycle=4,
    data_class=GENERAL,
    is_open=True,
)
TERMS: Final = "免费使用，注明来源"


class OpenDataDemonstration:
    """Runs the steps in order, through the first node; the dataset stays open."""

    def __init__(self, stage: Stage, service: str) -> None:
        """Take the address of the data service, from which the public gets the file; nothing is made yet."""
        self._stage = stage
        self._place = service + OPEN_PATH

    def run(self) -> None:
        """Propose, review, release, download and count; raise GovnodeError at the first that does not hold."""
        stage = self._stage
        with stage.client(PROVIDER) as provider, stage.client(GOVERNOR) as governor:
            Catalogue(provider).publish(resource=RESOURCE, replaces=0)
            own = OpenData(provider)
            own.propose(resource=RESOURCE.code, items=[], format="CSV", terms=TERMS)
            OpenData(governor).clear(resource=RESOURCE.code, reason="不含个人信息，聚合数据，可以开放")
            content = OPEN_TABLE.encode()
            own.release(
                resource=RESOURCE.code,
                place=self._place,
                digest=sm3(content),
                size_bytes=len(content),
                rows=OPEN_TABLE.count("\n") - 1,
            )
            downloads = self._download_and_report(provider)
        digest = sm3(content).hex()
        stage.say(
            f"开放数据“{RESOURCE.name}”：部门提请，治理方审核通过，发布；账本记摘要与下载地址，"
            f"从该处下载的文件与摘要相符（SM3 {digest[:16]}…），已上报下载 {downloads} 次",
            "open data: proposed by its department, cleared in review, released; the ledger has its digest and where to get it, and what "
            f"was downloaded there has that digest (SM3 {digest[:16]}…); downloads reported: {downloads}",
            stage.out / "open-data.csv",
        )
        url = ("--url", stage.network.nodes[0].url)
        stage.offer("查看开放数据集", "see the open dataset", "open-data", "show", RESOURCE.code, *url)

    def _download_and_report(self, provider: Client) -> int:
        """Download as anybody does, compare with the ledger, have the department report it, and return the count on the ledger."""
        stage, own = self._stage, OpenData(provider)
        release = own.dataset(RESOURCE.code).release
        with open_http("http", CATCH_UP_TIMEOUT_S) as http:
            found = http.get(release.place).content
        if sm3(found) != release.digest:
            raise DemoFailed(
                "DOWNLOAD_WRONG",
                f"下载所得与账本上的摘要不符：{found[:60]!r}",
                f"what was downloaded has another digest than the ledger says: {found[:60]!r}",
            )
        stage.write("open-data.csv", found)
        # By the department's recorder: how often it was asked for is known where it lies.
        own.report_downloads(
            resource=RESOURCE.code,
            number=1,
            from_ms=release.released_ms,
            to_ms=max(time.time_ns() // 1_000_000, release.released_ms + 1),
            downloads=1,
        )
        return int(own.dataset(RESOURCE.code).downloads)
