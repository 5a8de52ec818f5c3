"""A service answers with something else than was asked for, and has it on the ledger: a department takes none of it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from sdk.certificate_sharing import asking
from sdk.certificate_sharing.exchange import SharedFile, SharingAnswer, request_digest
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import encode_file
from verification.certificate_files.presentation import present
from verification.errors import InputError

ISSUER, PURPOSE = "11990100MB0000002X", "办理抵押登记"
HOUR_MS = 3_600_000


class HostileService:
    """An issuer's service that records what it likes; `answer` says what it does otherwise than it was asked."""

    def __init__(self, sharing: Any) -> None:
        self.sharing, self.said = sharing, dict[str, Any]()
        self.desk, self.statement = sharing.desk(), sharing.statement(max_fetches=20)
        self.other = sharing.statement(number=1, max_fetches=20, purpose="营销")
        for statement in (self.statement, self.other):
            self.desk.statements.authorise(encode_file(statement))

    def answer(self, service: str, path: str, body: bytes, headers: Any) -> bytes:
        """Record a fetch under this request's digest, and hand out what `said` asks for."""
        sharing, said = self.sharing, self.said
        statement = said.get("statement", self.statement)
        chain = said.get("chain", sharing.chain)
        copy = make_annotated_copy(
            present(sharing.document, said.get("fields", statement.fields), said.get("attachments", [])),
            said.get("signer", sharing.clerk),
            chain,
            reason=said.get("reason", statement.purpose),
            recipient=said.get("recipient", "使用局"),
            made_ms=sharing.node.chain.time_ms,
            expires_ms=said.get("expires_ms", sharing.node.chain.time_ms + HOUR_MS),
        )
        raw = encode_file(copy)
        receipt = self.desk._ledger.record_fetch(
            authorisation=bytes.fromhex(statement.id),
            requester=sharing.consumer.address,
            purpose=statement.purpose_commitment(statement.purpose),
            code=bytes(32),
            request=request_digest(sharing.consumer.address, body),
            result=sm3(raw),
        )
        file = SharedFile("annotated-copy.json", "application/json", sm3(raw).hex(), base64.b64encode(raw).decode())
        answer = SharingAnswer(
            "govnode-shared-certificate/1",
            sharing.document.core.identifier,
            ISSUER,
            "IN_FORCE",
            statement,
            int(receipt.output, 16),
            receipt.time_ms,
            receipt.height,
            1,
            (file,),
        )
        return msgspec.json.encode(msgspec.structs.replace(answer, **said.get("answer", {})))

    def fetch(self, **asked: Any) -> str:
        """Return the code that the department refuses the answer with, empty where it takes it."""
        sharing = self.sharing
        request = sharing.asked(self.statement, request_id=sm3(repr((self.said, asked)).encode()).hex()[:32], **asked)
        try:
            asking.fetch_certificate("http://service", sharing.consumer, sharing.fetcher, request, [sharing.root])
        except InputError as error:
            return error.code
        return ""


def test_an_answer_that_was_not_asked_for_is_not_taken(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = HostileService(sharing)
    monkeypatch.setattr(asking, "_post", service.answer)
    assert service.fetch() == ""
    assert service.fetch(cert_identifier=sharing.document.core.identifier) == ""
    ours = sharing.node.chain.time_ms
    lies: list[dict[str, Any]] = [
        {"statement": service.other},
        {"reason": "营销"},
        {"expires_ms": service.statement.to_ms + 1},
        {"fields": ["坐落", "面积"]},
        {"attachments": ["产权证.ofd"]},
        {"answer": {"cert_identifier": "anything"}},
    ]
    for lie in lies:
        service.said = lie
        assert service.fetch() == "ANSWER_DIFFERS", lie
    service.said = {}
    another = "11100000MB03271699001.11990100MB0000002X.20260000002.001.0"
    assert service.fetch(cert_identifier=another) == "ANSWER_DIFFERS"
    assert service.fetch(use_cause="另一用途") == "ANSWER_DIFFERS"
    assert service.fetch(file_type="ofd") == "ANSWER_DIFFERS"
    service.said = {"expires_ms": ours + 10 * HOUR_MS * 24}
    assert service.fetch(expiry_time="2000-01-01") == "ANSWER_DIFFERS"


def test_a_copy_whose_signatures_do_not_hold_is_not_taken(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = HostileService(sharing)
    monkeypatch.setattr(asking, "_post", service.answer)
    now_ms = sharing.node.chain.time_ms
    service.said = {"recipient": "别的局"}
    assert service.fetch() == "ANOTHERS_COPY"
    # Somebody who calls itself the issuer, under a root of its own.
    root, signer = x509.issue_root("Demo City Root", now_ms=now_ms), Signer(PrivateKey.generate())
    department = x509.issue_department(root, ISSUER, "示范局", now_ms=now_ms)
    person = x509.issue_person(department, "签发人", signer.public_key, now_ms=now_ms)
    service.said = {"signer": signer, "chain": (person, department.certificate)}
    assert service.fetch() == "SIGNER_NOT_TRUSTED"
