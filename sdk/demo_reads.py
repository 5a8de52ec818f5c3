"""The demonstration's data sharing: a grant with conditions, reads through a gateway, and an auditor who proves that none is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from contracts.data_sharing.audit_figures import FIGURES, FigureRow
from contracts.data_sharing.conditions import MASK, Conditions, Mask
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, ResourceDescription, ResourceItem
from contracts.data_sharing.sharing import GRANTED
from sdk.access_audit.traces import Places, make_trace, verify_trace_file
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.second_place import ArchiveFolder, BodyCopier, authority_key
from sdk.client import Client
from sdk.demo_data_service import OWNERS
from sdk.demo_network import wait_until_height
from sdk.demo_read_services import AUTHORITY_KEY, ReadServices
from sdk.demo_stage import AUDITOR, CATCH_UP_TIMEOUT_S, CONSUMER, HOUR_MS, PROVIDER, DemoFailed, Stage
from sdk.errors import RequestRefused
from sdk.gateway.consumer import Case, GatewayConsumer, ReadAnswer
from sdk.http_client import open_http
from sdk.persons.client import PersonClient
from sdk.persons.numbers import PersonReference, normal_person, person_commitment
from sdk.system_contracts.access import Access
from sdk.system_contracts.audits import Audits
from sdk.system_contracts.sharing import Sharing
from verification.access.reconciliation import reconcile
from verification.access.rule_table import DEFAULT_TABLE
from verification.access.rules import AuditFacts
from verification.access.trace_file import FIRST_LINE, ReadsFrame, encode_frame, read_frames
from verification.access.trace_filter import TraceFilter
from verification.days import day_start_ms, show_day

RESOURCE: Final = ResourceDescription(
    code="307003001/0001",
    name="不动产登记信息",
    summary="按证件号码查询名下不动产，含个人信息",
    format="JSON",
    items=tuple(ResourceItem(name, "C") for name in ("不动产单元号", "坐落", "权利人", "联系电话", "面积", "抵押情况")),
    sharing_type=CONDITIONAL,
    sharing_basis="限办理住房业务使用",
    sharing_method="接口查询",
    update_cycle=1,
    data_class=GENERAL,
)
PURPOSE: Final = "办理新建商品房网签备案时核对土地权属"
CASE_TYPE: Final = "新建商品房网签备案"
OTHER_CASE_TYPE: Final = "商业贷款审批"
SYSTEM: Final = "housing-online-signing"
COLUMNS: Final = ("不动产单元号", "坐落", "权利人", "联系电话")
MASKS: Final = (Mask("权利人", MASK, 1, 2), Mask("联系电话", MASK, 3, 4))
READS_PER_DAY: Final = 500
CONDITIONS: Final = Conditions(COLUMNS, MASKS, max_reads_per_day=READS_PER_DAY, note="不得转供")
OTHER_CONSUMER: Final = "district-clerk"
"""Asks too, and is not answered: its clock is seen to run."""
BASIS: Final = "审通〔2026〕1号（演示）"
FIGURE_ROWS: Final = (FigureRow("day_to_minute", 1_320), FigureRow("denied_per_day", 10))
"""What the auditing authority publishes: working hours until ten in the evening, and when refused reads of a day are many."""
FIGURES_BASIS: Final = "审规〔2026〕1号（演示）"
READS: Final = 4
PERSON_READS: Final = 3
"""Of the person whom the auditor traces, on each side: one served, two refused."""
HEARTBEAT_S: Final = 86_400
"""Of the reading clerk's store: reads are put on the ledger by hand."""


class ReadsDemonstration:
    """Runs the steps in order; its services answer until its `with` block ends."""

    def __init__(self, stage: Stage) -> None:
        """Start the services, which come up while other steps go on."""
        self._stage = stage
        self._services = ReadServices(stage, RESOURCE.code)
        self._provider, self._consumer = stage.node_of(PROVIDER), stage.node_of(CONSUMER)
        self._store = stage.out / "housing-reads.sqlite"
        self._number, self._other_number = OWNERS
        self._grant = b""
        self._last_ms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._services.__exit__()

    @property
    def data_service(self) -> str:
        """The address of the department's data service itself, which has what is open to everybody too."""
        return self._services.data

    def share(self) -> None:
        """Publish, ask, grant under conditions, read, stop; raise GovnodeError at the first that does not hold."""
        self._agree()
        self._services.wait()
        signer, department = self._stage.signer(CONSUMER), self._stage.network.account(CONSUMER).department
        policy = RecordingPolicy(
            heartbeat_s=HEARTBEAT_S, bodies_at=self._services.records, second_place=self._stage.second_place.name
        )
        with (
            self._stage.client(CONSUMER, self._consumer) as client,
            Recorder(self._store, department, client.address, policy) as own,
            PersonClient(self._services.persons, client, signer, self._services.authority) as persons,
            GatewayConsumer(self._services.gateway, client, signer, self._grant, SYSTEM, own) as gate,
        ):
            self._read(gate, persons)
            self._last_ms = time.time_ns() // 1_000_000
            Anchorer(own, client).anchor_all()
            copier = BodyCopier(own.store, [ArchiveFolder(self._stage.second_place)], lambda: authority_key(client))
            while copier.step():
                pass
        # It comes up while other steps go on, and has the store between two turns only: commands record there too.
        self._services.keep_records(self._store, CONSUMER)

    def audit(self) -> None:
        """Trace all reads of one person's data, and find offline that none is missing and that both sides agree."""
        stage = self._stage
        trace = stage.out / "person.gvt"
        with stage.client(AUDITOR) as auditor:
            wanted = TraceFilter(
                0, self._wait_until_covered(auditor), person=self._commitment(), resource=RESOURCE.code
            )
            places = Places((stage.second_place,), (), (self._services.authority_key,))
            query = make_trace(auditor, stage.signer(AUDITOR), wanted, trace, BASIS, places).query
        facts = AuditFacts()
        started = time.perf_counter()
        verdict = verify_trace_file(trace, stage.network.trust, facts)
        elapsed_ms = (time.perf_counter() - started) * 1000
        compared = reconcile(facts.reads, facts.batches, wanted, DEFAULT_TABLE.edge_ms)
        counted = (verdict.reads, verdict.matches, compared.agreed, len(compared.differences))
        if not verdict.is_complete or counted != (2 * READS, 2 * PERSON_READS, PERSON_READS, 0):
            raise DemoFailed(
                "TRACE_WRONG", f"审计追踪有误：{counted} {verdict}", f"the audit trace is wrong: {counted} {verdict}"
            )
        stage.say(
            f"审计方先登记第 {query} 号查询，再按人追踪（只凭承诺，不用号码）：{verdict.batches} 批共 {verdict.reads} 条，"
            f"其人 {verdict.matches} 条，即 {compared.agreed} 次读取双方各记一条且一致；"
            f"离线核验：完整，无遗漏、增加、改动，{elapsed_ms:.1f} 毫秒",
            f"the auditor recorded query {query}, then traced one person by a commitment: of {verdict.reads} reads in {verdict.batches} "
            f"batches {verdict.matches} are about that person: {compared.agreed} reads, on each of which both departments' records agree; "
            f"offline the trace is sound and complete, in {elapsed_ms:.1f} ms",
            trace,
        )
        stage.offer("离线核验审计追踪", "verify the trace, offline", "verify", trace, "--trust", stage.network.trust)
        self._take_a_read_out(trace)
        self._publish_figures()
        self._wait(self._services.is_answering, "记录服务未启动", "the service for records did not start")
        key, password = stage.key_files(AUTHORITY_KEY)
        copies = ("--archive", stage.second_place, "--open-with", key, "--open-password-file", password)
        said = ("--from", show_day(time.time_ns() // 1_000_000), "--basis", BASIS)
        files = ("--out", stage.out / "today.gvt", "--trust", stage.network.trust)
        options = stage.account_options(AUDITOR)
        stage.offer("追溯今日全部读取", "trace all reads of today", "audit", "trace", *said, *copies, *files, *options)
        stage.offer("查看审计查询", "see auditors' queries", "audit", "queries", *stage.account_options(AUDITOR))

    def _take_a_read_out(self, trace: Path) -> None:
        """Leave one read out of a copy of the trace, and show in which words it is refused offline."""
        stage = self._stage
        with trace.open("rb") as file:
            frames = list(read_frames(file.read))
        place, reads = next(
            (place, frame.reads[:-1])
            for place, frame in enumerate(frames)
            if isinstance(frame, ReadsFrame) and len(frame.reads) > 1
        )
        frames[place] = ReadsFrame(reads)
        cut = stage.write("person-one-read-removed.gvt", FIRST_LINE + b"".join(map(encode_frame, frames)))
        verdict = verify_trace_file(cut, stage.network.trust)
        if [fault.code for fault in verdict.faults][:1] != ["READ_REMOVED"]:
            raise DemoFailed(
                "OMISSION_UNSEEN", f"遗漏未被发现：{verdict}", f"what was left out was not found: {verdict}"
            )
        fault = verdict.faults[0]
        zh, en = fault.texts
        stage.say(
            f"从该文件去掉一条读取，离线核验即指明 [{fault.code}]：{zh}",
            f"with one read taken out of that file, the offline check names where [{fault.code}]: {en}",
            cut,
        )
        given = (cut, "--trust", stage.network.trust)
        stage.offer("核验少了一条的追踪", "verify the trace that lacks a read", "verify", *given)

    def _publish_figures(self) -> None:
        """Publish figures by which reads are judged from the next day on, as the auditing authority."""
        stage = self._stage
        tomorrow = show_day(time.time_ns() // 1_000_000 + 24 * HOUR_MS)
        with stage.client(AUDITOR) as auditor:
            Audits(auditor).set_figures(
                department="", rows=list(FIGURE_ROWS), basis=FIGURES_BASIS, from_ms=day_start_ms(tomorrow)
            )
        said = [(FIGURES[row.figure], row.value) for row in FIGURE_ROWS]
        stage.say(
            f"审计机关公布规则参数，自 {tomorrow} 起适用，此前的读取不受影响："
            + "；".join(f"{figure.zh} {value}（原 {figure.preset}）" for figure, value in said),
            f"the auditing authority published figures of its rules, for reads from {tomorrow} on and none before: "
            + "; ".join(f"{figure.en} {value} (before {figure.preset})" for figure, value in said),
        )
        url = ("--url", stage.network.nodes[0].url)
        stage.offer("查看公布的规则参数", "see the published figures of the rules", "audit", "figures", *url)

    def leave_grant(self) -> None:
        """Grant the same once more, and renew it: the gateway answers a read by hand, and both sides record it."""
        stage, now_ms = self._stage, time.time_ns() // 1_000_000
        with (
            stage.client(PROVIDER, self._provider) as provider,
            stage.client(CONSUMER, self._consumer) as consumer,
        ):
            request = consumer.call("sharing", "request", **_asked(now_ms))
            grant = bytes(request.transaction_id)
            wait_until_height(provider, request.height, CATCH_UP_TIMEOUT_S)
            until_ms = now_ms + 7 * 24 * HOUR_MS
            provider.call("sharing", "grant", request=grant, conditions=CONDITIONS, to_ms=until_ms)
            given = provider.call("sharing", "start_supply", request=grant)
            wait_until_height(consumer, given.height, CATCH_UP_TIMEOUT_S)
        self._wait_until_seen(given.height)
        # A path that names a person stands in a file: every user of a machine sees its command lines.
        target = stage.write("read-path.txt", f"/titles?number={self._number}".encode())
        reading = ("gateway", "read", self._services.gateway, "--target-file", target, "--grant", grant.hex())
        case = ("--system", SYSTEM, "--case", "WQ-2026-000009", "--case-type", CASE_TYPE)
        kept = ("--store", self._store, "--out", stage.out / "my-answer.json")
        stage.say(
            f"再次申请并获授权，现行有效，可亲手经网关读取（见文末命令），至 {show_day(until_ms)}",
            f"asked and granted once more: a grant in force until {show_day(until_ms)}, to read through the gateway by hand (see below)",
            target,
        )
        stage.offer(
            "亲手经网关读取一次", "read through the gateway", *reading, *case, *kept, *stage.account_options(CONSUMER)
        )
        due = ("share", "due", "--mine", *stage.account_options(PROVIDER))
        stage.offer("查看本部门待办与期限", "see what the provider has to do, and by when", *due)
        self._renew(grant, until_ms)

    def _renew(self, grant: bytes, until_ms: int) -> None:
        """Have a grant renewed before it ends: a request of its own for the time after it, granted as the first one was."""
        stage, to_ms = self._stage, until_ms + 7 * 24 * HOUR_MS
        with (
            stage.client(PROVIDER, self._provider) as provider,
            stage.client(CONSUMER, self._consumer) as consumer,
        ):
            asked = consumer.call("sharing", "renew", request=grant, to_ms=to_ms)
            renewal = bytes(asked.transaction_id)
            wait_until_height(provider, asked.height, CATCH_UP_TIMEOUT_S)
            provider.call("sharing", "grant", request=renewal, conditions=CONDITIONS, to_ms=to_ms)
            record = Sharing(provider).data_request(renewal)
        if (
            record.previous != grant
            or record.state != GRANTED
            or record.from_ms != until_ms + 1
            or not record.supplied_ms
        ):
            raise DemoFailed("RENEWAL_WRONG", f"续期有误：{record}", f"the renewal is wrong: {record}")
        stage.say(
            f"授权到期前续期：使用方提出，提供方同意，期满即接续，至 {show_day(to_ms)}，供给不中断",
            f"renewed before it ends: asked for by the consumer, granted by the provider: it goes on until {show_day(to_ms)} without "
            "a break",
        )
        url = stage.network.nodes[self._consumer].url
        stage.offer("查看续期", "see the renewal", "share", "show", renewal.hex(), "--url", url)

    def _agree(self) -> None:
        """Publish, ask, and grant under conditions, and show by when the law wanted an answer."""
        stage, now_ms = self._stage, time.time_ns() // 1_000_000
        asked = _asked(now_ms)
        with (
            stage.client(PROVIDER, self._provider) as provider,
            stage.client(CONSUMER, self._consumer) as consumer,
            stage.client(OTHER_CONSUMER, self._provider) as other,
        ):
            published = provider.call("catalogue", "publish", resource=RESOURCE, replaces=0)
            wait_until_height(consumer, published.height, CATCH_UP_TIMEOUT_S)
            request = consumer.call("sharing", "request", **asked)
            self._grant = bytes(request.transaction_id)
            clock = consumer.get(f"/requests/{self._grant.hex()}/deadlines")["items"][0]
            wait_until_height(provider, request.height, CATCH_UP_TIMEOUT_S)
            other.call(
                "sharing", "request", **(asked | {"purpose": "办理房屋租赁登记备案", "case_types": ["租赁登记"]})
            )
            until_ms = now_ms + 7 * 24 * HOUR_MS
            provider.call("sharing", "grant", request=self._grant, conditions=CONDITIONS, to_ms=until_ms)
            given = provider.call("sharing", "start_supply", request=self._grant)
            wait_until_height(consumer, given.height, CATCH_UP_TIMEOUT_S)
        day = show_day(clock["due_ms"])
        stage.say(
            f"发布“{RESOURCE.name}”（有条件共享，含个人信息）；另一部门按用途与案件类型申请，"
            f"法定答复期限 {clock['working_days']} 个工作日，至 {day}；"
            f"授权：{len(COLUMNS)} 项，姓名与电话遮盖，每日至多 {READS_PER_DAY} 次；第三个部门的申请尚待答复",
            f"published personal data, shared on conditions; another department asked, with purpose and case type: an answer was due "
            f"within {clock['working_days']} working days, by {day}; granted with {len(COLUMNS)} columns, name and telephone masked, "
            f"at most {READS_PER_DAY} reads a day; a third department's request still waits for its answer",
        )
        url = stage.network.nodes[self._consumer].url
        stage.offer(
            "查看申请的法定期限", "see the clocks of the request", "share", "clocks", self._grant.hex(), "--url", url
        )

    def _read(self, gate: GatewayConsumer, persons: PersonClient) -> None:
        """Read for a case and see the masks and the receipt; be refused for another kind of case, and once the grant was stopped."""
        answer = self._ask(gate, persons, self._number, Case("WQ-2026-000001", CASE_TYPE))
        self._ask(gate, persons, self._other_number, Case("WQ-2026-000003", CASE_TYPE))
        (row,) = orjson.loads(answer.body)["rows"]
        if tuple(row) != COLUMNS or row["联系电话"] != "199****0001":
            raise DemoFailed("ANSWER_WRONG", f"网关应答有误：{row}", f"the gateway's answer is wrong: {row}")
        saved = self._stage.write("gateway-answer.json", answer.body)
        self._stage.say(
            f"经 govnode gateway 为一个案件读取：{row['权利人']} {row['联系电话']} {row['坐落']}，授权之外的面积、抵押情况未给出；"
            f"回执（第 {answer.read.number} 条，已落盘并签名）核对无误，使用方另记一份",
            f"read for a case through a gateway process: masked, and without area and mortgage, which the grant does not cover; the "
            f"receipt (read {answer.read.number}, on disk and signed before the answer left) is good, and the reader recorded its own side",
            saved,
            self._services.settings,
        )
        refused = self._refused(gate, persons, OTHER_CASE_TYPE, "CASE_TYPE_OUTSIDE")
        with self._stage.client(PROVIDER, self._provider) as provider:
            ended = provider.call("sharing", "stop", request=self._grant, reason="演示：业务已办结")
        self._wait_until_seen(ended.height)
        stopped = self._refused(gate, persons, CASE_TYPE, "GRANT_NOT_IN_FORCE")
        self._stage.say(
            f"同一授权用于“{OTHER_CASE_TYPE}”被拒 [{refused}]；提供方停止授权，一个区块后再读被拒 [{stopped}]；被拒的读取也双方在案",
            f"for another kind of case the same grant is refused [{refused}]; the provider stopped it, and one block later a read is "
            f"refused [{stopped}]; both sides have the refused reads on record too",
        )
        options = ("--url", self._stage.network.nodes[self._consumer].url)
        self._stage.offer("核对使用方的记录", "check the reader's store", "access", "check", self._store, *options)

    def _ask(self, gate: GatewayConsumer, persons: PersonClient, number: str, case: Case) -> ReadAnswer:
        reference: PersonReference = persons.find(normal_person(number))
        return gate.read(f"/titles?number={number}", case, person=reference)

    def _refused(self, gate: GatewayConsumer, persons: PersonClient, case_type: str, expected: str) -> str:
        """Return the code of a refused read; raise DemoFailed where it is another, or data came."""
        code = "SERVED"
        try:
            self._ask(gate, persons, self._number, Case("WQ-2026-000004", case_type))
        except RequestRefused as refused:
            code = refused.code
        if code != expected:
            raise DemoFailed(
                "READ_NOT_REFUSED", f"读取应为 {expected}，实为 {code}", f"expected {expected}, found {code}"
            )
        return code

    def _commitment(self) -> bytes:
        """Return what stands for the person, as the auditing authority computes it."""
        return person_commitment(self._services.person_key, normal_person(self._number))

    def _wait_until_seen(self, height: int) -> None:
        """Return when the gateway has seen a block of its node."""
        self._wait(lambda: self._gateway_height() >= height, "网关未跟上", "the gateway fell behind")

    def _wait_until_covered(self, client: Client) -> int:
        """Return until when (ms) both streams are on the auditor's ledger, once that is after the last read."""
        ledger, network = Access(client), self._stage.network
        streams = (
            (network.account(PROVIDER).department, self._services.recorder),
            (network.account(CONSUMER).department, self._stage.address(CONSUMER)),
        )

        def covered_ms() -> int:
            try:
                return min(ledger.stream(department=name, recorder=recorder).covered_ms for name, recorder in streams)
            except RequestRefused:
                return 0

        self._wait(lambda: covered_ms() >= self._last_ms, "读取未上链", "the reads are not on the ledger")
        return covered_ms()

    def _gateway_height(self) -> int:
        with open_http("http", CATCH_UP_TIMEOUT_S) as http:
            return int(http.get(f"{self._services.gateway}/gov/status").json()["node_height"])

    def _wait(self, is_done: Callable[[], bool], zh: str, en: str) -> None:
        deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
        while not is_done():
            if time.monotonic() > deadline:
                raise DemoFailed("READS_BEHIND", zh, en)
            time.sleep(0.02)


def _asked(now_ms: int) -> dict[str, Any]:
    """Return what the reading department asks for."""
    return {
        "resource": RESOURCE.code,
        "purpose": PURPOSE,
        "legal_basis": "政务数据共享条例",
        "items": list(COLUMNS),
        "case_types": [CASE_TYPE],
        "rows_per_day": 1_000,
        "from_ms": now_ms - HOUR_MS,
        "to_ms": now_ms + 30 * 24 * HOUR_MS,
    }
