"""The demonstration: a whole network on this machine that does its mission once, on the samples, and shows each step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from contracts.certificate_records import certificate_key
from sdk import certificates
from sdk.certificates import NewCertificate, Outcome
from sdk.demo_batch import BATCH_ROWS, BatchDemonstration
from sdk.demo_exchange import ExchangeDemonstration
from sdk.demo_fetch import FetchDemonstration, IssuerService
from sdk.demo_network import wait_until_height
from sdk.demo_open_data import OpenDataDemonstration
from sdk.demo_reads import ReadsDemonstration
from sdk.demo_stage import (
    CATCH_UP_TIMEOUT_S,
    GOVERNOR,
    PROVIDER,
    DemoFailed,
    Stage,
    Trial,
    check_final,
    check_verdict,
)
from sdk.network import NetworkFolder
from sdk.proofs import export_proof, verify_proof_file
from sdk.statutory_clocks.files import load_calendars
from sdk.statutory_clocks.record import record_calendar
from sdk.supervisor import Supervisor

CALENDARS: Final = {2025: "国办发明电〔2024〕12号", 2026: "国办发明电〔2025〕7号"}
"""The years whose holidays are among the samples, and where they were published."""
KEPT_BACK: Final = 10
"""Certificates that are issued while one validator is down."""


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
    """Runs the steps in order on a running network; `tell` prints one in Chinese and English with its files, `progress` a count.

    What it started beside the nodes answers until its `with` block ends.
    """

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
        self._clocks = samples / "clocks"
        self._rows = certificates.load_new_certificates(samples / "certificates.csv")
        self._types = certificates.load_types(samples / "certificate-types.csv")
        provider = network.account(PROVIDER).department
        self._late = [row for row in self._rows if row.issuer_code == provider][-KEPT_BACK:]
        self._stage = Stage(network, tell)
        self._client, self._say = self._stage.client, self._stage.say
        self.summary = Summary()
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def trials(self) -> list[Trial]:
        """Commands to try by hand, in the order of the steps that they belong to."""
        return self._stage.trials

    def run(self) -> Summary:
        """Do every step; raise DemoFailed, or another GovnodeError, at the first that does not hold."""
        started = time.monotonic()
        self._stage.out.mkdir(exist_ok=True)
        self._register()
        # Its processes take a while to come up: meanwhile certificates are issued.
        reads = self._running.enter_context(ReadsDemonstration(self._stage))
        self._issue([row for row in self._rows if row not in self._late])
        self._verify_and_revoke()
        reads.share()
        ExchangeDemonstration(self._stage).run()
        OpenDataDemonstration(self._stage, reads.data_service).run()
        self._issue_batch(reads)
        self._lose_a_validator()
        with self._client(None) as client:
            self.summary.height = client.status()["height"]
        self.summary.elapsed_s = time.monotonic() - started
        return self.summary

    def _register(self) -> None:
        with self._client(GOVERNOR) as client:
            check_final(certificates.register_types(client, self._types))
            for year, source in CALENDARS.items():
                for calendar in load_calendars(self._clocks / f"calendar-{year}.csv"):
                    record_calendar(client, calendar, source)
        self._say(
            f"治理方登记了 {len(self._types)} 个证照类型及其颁发机构，以及 {len(CALENDARS)} 年的节假日与调休，法定期限据此计算",
            f"the governor registered {len(self._types)} certificate types and who may issue them, and the holidays and make-up days of "
            f"{len(CALENDARS)} years, by which statutory terms are counted",
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

    def _issue_batch(self, reads: ReadsDemonstration) -> None:
        """Issue a batch, and show what a holder, a verifier, a department and an auditor do with certificates of it."""
        provider = self._network.account(PROVIDER).department
        type_code = next(str(one["code"]) for one in self._types if provider in one["issuers"])
        batch = BatchDemonstration(self._stage, type_code)
        self.summary.batch_s, self.summary.batch = batch.issue(), BATCH_ROWS
        held, neighbour = batch.keep()
        shown = batch.present(held)
        batch.suspend(neighbour)
        # What was read is on the ledger by now.
        reads.audit()
        reads.leave_grant()
        # It takes a while to come up: meanwhile the next steps are done.
        with IssuerService(batch) as service:
            batch.list_statuses(held, neighbour)
            batch.print_codes(held, shown)
            FetchDemonstration(batch, held, service.url()).run()
        # The service has ended: its stream of reads would be late from now on.
        with self._client(PROVIDER, batch.node) as client:
            client.call("access", "end_stream", recorder=client.address)

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
