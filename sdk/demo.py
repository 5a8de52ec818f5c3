"""The demonstration: a whole network on this machine that does its mission once, on the samples, and shows each step."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from contracts.certificate_records import certificate_key
from contracts.data_sharing.access import SERVED
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, ResourceDescription, ResourceItem
from sdk import certificates
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.certificates import NewCertificate, Outcome
from sdk.demo_batch import BATCH_ROWS, BatchDemonstration
from sdk.demo_fetch import FetchDemonstration, IssuerService
from sdk.demo_network import wait_until_height
from sdk.demo_stage import (
    CATCH_UP_TIMEOUT_S,
    CONSUMER,
    GOVERNOR,
    HOUR_MS,
    PROVIDER,
    DemoFailed,
    Stage,
    Trial,
    check_final,
    check_verdict,
)
from sdk.network import NetworkFolder
from sdk.proofs import export_proof, verify_proof_file
from sdk.supervisor import Supervisor
from sm_crypto.sm3 import sm3
from verification.access.reads import (
    CONSUMER_SIDE,
    NO_DIGEST,
    READ_NONCE_BYTES,
    SALT_BYTES,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
    read_id,
)

KEPT_BACK: Final = 10
"""Certificates that are issued while one validator is down."""
RESOURCE_CODE: Final = "307003001/0001"
CASE: Final = "WQ-2026-000001"


class Summary(msgspec.Struct):
    """What the demonstration did, in figures."""

    issued: int = 0
    batch: int = 0
    """Certificates that were issued as one batch, beside the others."""
    batch_s: float = 0.0
    first_final_ms: float = 0.0
    issued_per_s: float = 0.0
    verify_ms: float = 0.0
    proof_bytes: int = 0
    height: int = 0
    catch_up_s: float = 0.0
    elapsed_s: float = 0.0


class Demonstration:
    """Runs the steps in order on a running network; `tell` prints one in Chinese and English with its files, `progress` a count."""

    def __init__(
        self,
        network: NetworkFolder,
        supervisor: Supervisor,
        samples: Path,
        tell: Callable[[str, str, Sequence[Path]], None],
        progress: Callable[[int, int], None],
    ) -> None:
        """Read the samples; nothing is submitted yet."""
        self._network = network
        self._supervisor = supervisor
        self._progress = progress
        self._rows = certificates.load_new_certificates(samples / "certificates.csv")
        self._types = certificates.load_types(samples / "certificate-types.csv")
        provider = network.account(PROVIDER).department
        self._late = [row for row in self._rows if row.issuer_code == provider][-KEPT_BACK:]
        self._stage = Stage(network, tell)
        self._client, self._say = self._stage.client, self._stage.say
        self.summary = Summary()

    @property
    def trials(self) -> list[Trial]:
        """Commands to try by hand, in the order of the steps that they belong to."""
        return self._stage.trials

    def run(self) -> Summary:
        """Do every step; raise DemoFailed, or another GovnodeError, at the first that does not hold."""
        started = time.monotonic()
        self._stage.out.mkdir(exist_ok=True)
        self._register_types()
        self._issue([row for row in self._rows if row not in self._late])
        self._verify_and_revoke()
        self._share()
        self._issue_batch()
        self._lose_a_validator()
        with self._client(None) as client:
            self.summary.height = client.status()["height"]
        self.summary.elapsed_s = time.monotonic() - started
        return self.summary

    def _register_types(self) -> None:
        with self._client(GOVERNOR) as client:
            check_final(certificates.register_types(client, self._types))
        self._say(
            f"治理方登记了 {len(self._types)} 个证照类型及其颁发机构",
            f"the governor registered {len(self._types)} certificate types and who may issue them",
        )

    def _issue(self, rows: list[NewCertificate]) -> None:
        by_issuer: dict[str, list[NewCertificate]] = {}
        for row in rows:
            by_issuer.setdefault(row.issuer_code, []).append(row)
        done = 0

        def count(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            self._progress(done, len(rows))

        started = time.monotonic()
        for department, group in by_issuer.items():
            account = self._issuer_of(department)
            secret = self._stage.secret(account)
            with self._client(account, self._stage.node_of(account)) as client:
                if not self.summary.first_final_ms:
                    first = time.monotonic()
                    check_final(certificates.issue(client, group[:1], secret, count))
                    self.summary.first_final_ms = (time.monotonic() - first) * 1000
                    del group[0]
                check_final(certificates.issue(client, group, secret, count))
        elapsed = time.monotonic() - started
        self.summary.issued += len(rows)
        self.summary.issued_per_s = len(rows) / elapsed
        self._say(
            f"{len(by_issuer)} 个部门颁发 {len(rows)} 份证照，用时 {elapsed:.1f} 秒；"
            f"第一份 {self.summary.first_final_ms:.0f} 毫秒后即为最终",
            f"{len(by_issuer)} departments issued {len(rows)} certificates in {elapsed:.1f} s; the first was final after "
            f"{self.summary.first_final_ms:.0f} ms",
        )

    def _issuer_of(self, department: str) -> str:
        for account in self._network.accounts:
            if account.department == department and "issuer" in account.roles:
                return account.name
        raise DemoFailed("NO_ISSUER", f"{department} 没有颁发账户", f"{department} has no account that issues")

    def _verify_and_revoke(self) -> None:
        """Verify one certificate online and offline, refuse a changed file, revoke it, and show what each proof then says."""
        row = next(each for each in self._rows if each.document is not None)
        assert row.document is not None
        self._check_online(row, "IN_FORCE", node=1)
        before = self._export(row, "before-revocation.proof.json")
        started = time.perf_counter()
        verdict = verify_proof_file(before, row.document, self._network.trust)
        self.summary.verify_ms = (time.perf_counter() - started) * 1000
        self.summary.proof_bytes = before.stat().st_size
        check_verdict(verdict, accepted=True, code="IN_FORCE")
        self._say(
            f"离线核验 {row.document.name}：有效，仅凭证明文件与信任文件，用时 {self.summary.verify_ms:.1f} 毫秒",
            f"offline, {row.document.name} is genuine and in force, by proof file and trust file alone, in {self.summary.verify_ms:.1f} ms",
            row.document,
            before,
        )
        given = (row.document, "--trust", self._network.trust)
        self._stage.offer("离线核验", "verify offline", "verify", before, "--document", *given)
        content = bytearray(row.document.read_bytes())
        content[len(content) // 2] ^= 1
        tampered = self._stage.write(f"tampered{row.document.suffix}", bytes(content))
        refused = verify_proof_file(before, tampered, self._network.trust)
        check_verdict(refused, accepted=False, code="DOCUMENT_CHANGED")
        self._say(
            "改动一个比特的文件被拒绝：DOCUMENT_CHANGED",
            "a file with one bit changed is refused: DOCUMENT_CHANGED",
            tampered,
        )
        with self._client(self._issuer_of(row.issuer_code)) as client:
            client.call(
                "certificates", "revoke", identifier=row.identifier, status="03", reason="演示撤销 demonstration"
            )
        self._check_online(row, "ENDED", node=2)
        after = self._export(row, "after-revocation.proof.json")
        check_verdict(verify_proof_file(after, row.document, self._network.trust), accepted=False, code="ENDED")
        old = verify_proof_file(before, row.document, self._network.trust)
        check_verdict(old, accepted=True, code="IN_FORCE")
        self._say(
            f"撤销后：在线与新证明均拒绝；撤销前的证明仍成立，并注明截至区块 {old.height}",
            "after revocation: refused online and by a new proof; the earlier proof still holds, and says that it "
            f"speaks as of block {old.height}",
        )

    def _check_online(self, row: NewCertificate, code: str, node: int) -> None:
        with self._client(None, node) as client:
            answer = client.get(f"/certificates/{row.identifier}/verification", document_digest=row.digest.hex())
        if answer["verdict"] != code:
            raise DemoFailed(
                "ONLINE_VERDICT", f"在线核验应为 {code}，实为 {answer}", f"expected {code} online, found {answer}"
            )
        name = self._network.nodes[node].name
        self._say(f"在线核验（{name}）：{answer['zh']} [{code}]", f"online, by {name}: {answer['en']} [{code}]")

    def _export(self, row: NewCertificate, name: str) -> Path:
        with self._client(None) as client:
            return self._stage.write(name, export_proof(client, certificate_key(row.identifier)))

    def _share(self) -> None:
        """One department publishes, another asks, is granted and reads; an auditor traces the read."""
        now_ms = time.time_ns() // 1_000_000
        with (
            self._client(PROVIDER, 1) as provider,
            self._client(CONSUMER, 2) as consumer,
        ):
            provider.call("catalogue", "publish", resource=_resource(), replaces=0)
            asked = consumer.call(
                "sharing",
                "request",
                resource=RESOURCE_CODE,
                purpose="办理新建商品房网签备案时核对土地权属",
                legal_basis="政务数据共享条例",
                items=["不动产单元号", "权利类型"],
                case_types=["新建商品房网签备案"],
                rows_per_day=1_000,
                from_ms=now_ms - HOUR_MS,
                to_ms=now_ms + 30 * 24 * HOUR_MS,
            )
            grant = asked.transaction_id
            provider.call(
                "sharing",
                "grant",
                request=grant,
                conditions=Conditions(max_reads_per_day=500, place="网签备案系统", note="仅限网签备案使用，不得转供"),
                to_ms=now_ms + 7 * 24 * HOUR_MS,
            )
            reads = self._stage.out / "reads.sqlite"
            department = self._network.account(CONSUMER).department
            with Recorder(reads, department, consumer.address, RecordingPolicy()) as recorder:
                recorder.record(_read(grant, self._network.account(PROVIDER).department, department, consumer.address))
                Anchorer(recorder, consumer).anchor_all()
        trace = self._stage.trace(CONSUMER, reads, 1)
        if [one.case.case_number for one in trace] != [CASE]:
            raise DemoFailed("TRACE_WRONG", f"审计追踪有误：{trace}", f"the audit trace is wrong: {trace}")
        self._say(
            "目录发布 → 申请 → 授权 → 读取；读取按批锚定，审计方逐条核对与账本相符（案件号 WQ-2026-000001）",
            "published, asked for, granted, read; the auditor checked the read against its batch on the ledger (case WQ-2026-000001)",
        )

    def _issue_batch(self) -> None:
        """Issue a batch, and show what a holder, a verifier, a department and an auditor do with certificates of it."""
        provider = self._network.account(PROVIDER).department
        type_code = next(str(one["code"]) for one in self._types if provider in one["issuers"])
        batch = BatchDemonstration(self._stage, type_code)
        self.summary.batch_s, self.summary.batch = batch.issue(), BATCH_ROWS
        held, neighbour = batch.keep()
        shown = batch.present(held)
        batch.suspend(neighbour)
        # It takes a while to come up: meanwhile the next steps are done.
        with IssuerService(batch) as service:
            batch.list_statuses(held, neighbour)
            batch.print_codes(held, shown)
            FetchDemonstration(batch, held, service.url()).run()

    def _lose_a_validator(self) -> None:
        """Kill one validator, go on without it, start it again and see it catch up."""
        lost = self._network.nodes[3].name
        self._supervisor.kill(lost)
        with self._client(None) as client:
            down_at = client.status()["height"]
        self._issue_late()
        with self._client(None) as client:
            height = client.status()["height"]
        self._say(
            f"强行终止 {lost}（SIGKILL）：其余三个节点继续，又颁发 {len(self._late)} 份，高度 {down_at} → {height}",
            f"killed {lost} with SIGKILL: the other three went on and issued {len(self._late)} more, height {down_at} to {height}",
        )
        started = time.monotonic()
        self._supervisor.resume(lost)
        with self._client(None, 3) as client:
            wait_until_height(client, height, CATCH_UP_TIMEOUT_S)
        self.summary.catch_up_s = time.monotonic() - started
        self._say(
            f"{lost} 重新启动，{self.summary.catch_up_s:.1f} 秒后自行追上高度 {height}",
            f"{lost} started again and caught up with height {height} by itself after {self.summary.catch_up_s:.1f} s",
        )

    def _issue_late(self) -> None:
        """Issue, through the first node, what was kept back."""
        secret = self._stage.secret(PROVIDER)
        with self._client(PROVIDER) as client:
            check_final(certificates.issue(client, self._late, secret))
        self.summary.issued += len(self._late)


def _read(grant: bytes, provider: str, consumer: str, account: bytes) -> ReadDraft:
    """Return one read by the consumer's system, as the consumer records it."""
    now_ms = time.time_ns() // 1_000_000
    salts = [secrets.token_bytes(SALT_BYTES) for _ in range(4)]
    name = read_id(grant, account, secrets.token_bytes(READ_NONCE_BYTES))
    details = Details(
        name,
        "GET /parcels/{unit}",
        ("不动产单元号", "权利类型"),
        1,
        sm3(b"GET /parcels/1"),
        sm3(b"one row"),
        0,
        0,
        now_ms,
        now_ms,
        "",
        salts[3],
    )
    return ReadDraft(
        CONSUMER_SIDE,
        SERVED,
        Subject(NO_DIGEST, b"", salts[0]),
        SharingPart(grant, RESOURCE_CODE, provider, consumer, account, "housing-online-signing", salts[1]),
        CasePart("核对土地权属", "新建商品房网签备案", CASE, NO_DIGEST, salts[2]),
        details,
    )


def _resource() -> ResourceDescription:
    return ResourceDescription(
        code=RESOURCE_CODE,
        name="不动产登记信息",
        summary="不动产单元、权利类型与登记时间，不含个人信息",
        format="JSON",
        items=(ResourceItem("不动产单元号", "C"), ResourceItem("权利类型", "C"), ResourceItem("登记时间", "T")),
        sharing_type=CONDITIONAL,
        sharing_basis="限办理住房业务使用",
        sharing_method="接口查询",
        update_cycle=1,
        data_class=GENERAL,
    )
