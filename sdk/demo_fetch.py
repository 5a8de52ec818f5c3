"""The demonstration's authorised fetch: a holder lets another department have a certificate, once, and an auditor sees who had it."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final

from contracts.data_sharing.access import DENIED, OUTCOMES, SERVED
from contracts.data_sharing.resources import GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from sdk.certificate_sharing.asking import FetchedCertificate, fetch_certificate, send_authorisation, send_withdrawal
from sdk.certificate_sharing.exchange import SharingRequest
from sdk.certificate_sharing.statements import genesis_of, next_number
from sdk.demo_batch import BatchDemonstration, Kept
from sdk.demo_network import wait_until_height
from sdk.demo_process import DemoProcess
from sdk.demo_stage import CATCH_UP_TIMEOUT_S, CONSUMER, HOUR_MS, PROVIDER, DemoFailed, check_verdict
from sdk.errors import RequestRefused
from sdk.proofs import verify_proof_file
from sdk.system_contracts.members import Members
from sdk.trust import load_trust
from verification.authorisations import Authorisation, make_authorisation, make_withdrawal, sign_authorisation
from verification.certificate_files.document import encode_file

RESOURCE: Final = ResourceDescription(
    code="307003001/0002",
    name="不动产权证书电子证照",
    summary="凭持证人授权领取电子证照加注件",
    format="JSON",
    items=(ResourceItem("证照", "C"),),
    sharing_type=UNCONDITIONAL,
    sharing_basis="",
    sharing_method="接口查询",
    update_cycle=1,
    data_class=GENERAL,
)
PURPOSE: Final = "办理新建商品房网签备案"
CASE: Final = "WQ-2026-000002"
SHOWN: Final = ("坐落",)
HOLDER_FIELDS: Final = ("CZZT", "CZZTDM")
"""Whoever holds it, and the holder's code."""


class IssuerService(DemoProcess):
    """The issuer's sharing interface as a process of its own, which comes up while other steps go on; ends with its `with` block."""

    def __init__(self, batch: BatchDemonstration) -> None:
        """Start it on a free port of this machine."""
        stage, account = batch.stage, batch.stage.network.account(PROVIDER)
        words = (
            "--store",
            stage.out / "sharing.sqlite",
            "--archive",
            batch.archive,
            "--holder-secret",
            account.holder_secret,
            "--chain",
            batch.chain_file,
            "--signing-key",
            account.key,
            "--signing-password-file",
            account.password_file,
            "--reads-archive",
            stage.second_place,
            "--port",
            "0",
            "--anchor-after",
            "0",
        )
        log = stage.out / "service.log"
        super().__init__(log, "sdk.cli.main", "cert", "serve", *words, *stage.account_options(PROVIDER))


class FetchDemonstration:
    """A holder authorises, a department fetches, the holder takes it back, the auditor traces."""

    def __init__(self, batch: BatchDemonstration, held: Kept, service: str) -> None:
        """Take the certificate and the address of the issuer's service."""
        self._batch, self._stage, self._held, self._service = batch, batch.stage, held, service
        self._node = self._stage.node_of(CONSUMER)

    def run(self) -> None:
        """Do every step; raise GovnodeError at the first that does not hold."""
        stage = self._stage
        grant = self._ask_for_resource()
        statement, signed = self._authorise()
        found = self._fetch(statement, grant)
        copy = stage.write("fetched-copy.json", found.raw)
        with stage.client(None, self._node) as client:
            recipient = Members(client).department(stage.network.account(CONSUMER).department).name
        verdict = verify_proof_file(self._held.proof, copy, stage.network.trust, recipient=recipient)
        check_verdict(verdict, accepted=True, code="IN_FORCE")
        stage.say(
            f"持证人签名授权{recipient}为“{PURPOSE}”领取这份证照；对方领取一次，"
            f"所得加注件写明谁、何事、到何时，离线核验通过 [{verdict.code}]",
            "the holder authorised another department to fetch the certificate for one purpose; it fetched an annotated copy, which "
            f"says for whom, what for and until when, and is accepted offline [{verdict.code}]",
            signed,
            copy,
        )
        given = (copy, "--recipient", recipient, "--trust", stage.network.trust)
        stage.offer("离线核验加注件", "verify the copy, offline", "verify", self._held.proof, "--document", *given)
        url = stage.network.nodes[self._node].url
        words = ("cert", "authorisations", self._held.file, "--url", url)
        stage.offer("持证人查看谁领取过", "as its holder, see who had it", *words)
        self._withdraw(statement, grant)

    def _ask_for_resource(self) -> str:
        """Publish certificates as a resource that is shared unconditionally, and return the other department's grant of it."""
        now_ms = time.time_ns() // 1_000_000
        with self._stage.client(PROVIDER, self._batch.node) as provider:
            height = provider.call("catalogue", "publish", resource=RESOURCE, replaces=0).height
        with self._stage.client(CONSUMER, self._node) as consumer:
            wait_until_height(consumer, height, CATCH_UP_TIMEOUT_S)
            asked = consumer.call(
                "sharing",
                "request",
                resource=RESOURCE.code,
                purpose=PURPOSE,
                legal_basis="政务数据共享条例",
                items=[],
                case_types=[],
                rows_per_day=0,
                from_ms=now_ms - HOUR_MS,
                to_ms=now_ms + 24 * HOUR_MS,
            )
        with self._stage.client(None, self._batch.node) as client:
            wait_until_height(client, asked.height, CATCH_UP_TIMEOUT_S)
        return asked.transaction_id.hex()

    def _authorise(self) -> tuple[Authorisation, Path]:
        """Return the holder's signed statement, which the issuer has taken to the ledger, and the file of it."""
        document, now_ms = self._held.document, time.time_ns() // 1_000_000
        with self._stage.client(None, self._batch.node) as client:
            made = make_authorisation(
                document,
                genesis=genesis_of(client),
                number=next_number(client, document),
                recipient=self._stage.network.account(CONSUMER).department,
                purpose=PURPOSE,
                fields=SHOWN,
                attachments=(),
                from_ms=now_ms,
                to_ms=now_ms + 24 * HOUR_MS,
                max_fetches=2,
                salt=secrets.token_bytes(32),
            )
        statement = sign_authorisation(made, document.core, self._batch.holder())
        signed = self._stage.write("authorisation.json", encode_file(statement))
        send_authorisation(self._service, statement)
        return statement, signed

    def _fetch(self, statement: Authorisation, grant: str) -> FetchedCertificate:
        asked = SharingRequest(
            use_cause=PURPOSE,
            grant=grant,
            case_number=CASE,
            system="housing-online-signing",
            request_id=secrets.token_hex(16),
            access_token=statement.id,
        )
        with self._stage.client(CONSUMER, self._node) as client:
            roots = load_trust(self._stage.network.trust).roots()
            return fetch_certificate(self._service, client, self._stage.signer(CONSUMER), asked, roots)

    def _withdraw(self, statement: Authorisation, grant: str) -> None:
        """Take the authorisation back; the next fetch is refused, and the auditor finds both."""
        send_withdrawal(self._service, make_withdrawal(statement, self._batch.holder(), time.time_ns() // 1_000_000))
        code = "FETCHED"
        try:
            self._fetch(statement, grant)
        except RequestRefused as refused:
            code = refused.code
        if code != "AUTHORISATION_WITHDRAWN":
            raise DemoFailed(
                "WITHDRAWAL_WITHOUT_EFFECT", f"撤回后领取的结果为 {code}", f"after withdrawal a fetch gave {code}"
            )
        trace = self._stage.trace(PROVIDER, self._stage.out / "sharing.sqlite-reads", 2)
        outcomes = [OUTCOMES[one.outcome] for one in trace]
        if [one.outcome for one in trace] != [SERVED, DENIED] or {one.case.case_number for one in trace} != {CASE}:
            raise DemoFailed("TRACE_WRONG", f"审计追踪有误：{trace}", f"the audit trace is wrong: {trace}")
        self._check_nothing_personal()
        self._stage.say(
            f"持证人撤回后再领取被拒 [{code}]；审计方追踪到两次：{outcomes[0][0]}、{outcomes[1][0]}（案件号 {CASE}），"
            "四个节点的磁盘上都找不到持证人的姓名与代码",
            f"withdrawn by the holder, a second fetch is refused [{code}]; the auditor traced both, {outcomes[0][1]} and "
            f"{outcomes[1][1]} (case {CASE}); neither the holder's name nor code is on any node's disk",
        )

    def _check_nothing_personal(self) -> None:
        """Return if no file of any node has the holder's name or code in it; raise DemoFailed otherwise."""
        document = self._held.document
        values = dict(zip((one.name for one in document.core.fields), document.values, strict=True))
        held = [values[name].encode() for name in HOLDER_FIELDS]
        for node in self._stage.network.nodes:
            for path in (self._stage.network.folder / node.name / "data").rglob("*"):
                try:
                    content = path.read_bytes() if path.is_file() else b""
                except FileNotFoundError:
                    # The database has just put another file in its place.
                    continue
                if any(one in content for one in held):
                    raise DemoFailed("HOLDER_ON_DISK", f"{path} 中有持证人信息", f"{path} has the holder in it")
