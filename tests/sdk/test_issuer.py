"""A department's own system: issues in one call, presents, verifies; and the same over plain HTTP, with every way to be refused."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from contracts.identifiers import make_identifier
from sdk.errors import CallRefused
from sdk.holder import present_certificate
from sdk.issuer import Issuer
from sdk.issuing_service import IssuingService, load_token, make_app
from sdk.system_contracts.certificates import Certificates
from sdk.trust import load_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import START_MS
from verification.errors import InputError
from verification.holders import Holder
from verification.proofs import GivenDocument, verify_proof

TYPE_CODE = "11100000MB03271699001"
DEPARTMENT = "11990100MB0000002X"
SECRET, TOKEN = b"\7" * 32, "t" * 32
CONTENT: dict[str, Any] = {
    "valid_from": "2026-05-01",
    "issued_on": "2026-05-01",
    "holder": Holder("999", "N1", "张三"),
    "fields": {"坐落": "示例路1号", "面积": "98.5"},
}
Ask = Callable[..., tuple[int, Any]]


def now_ms() -> int:
    """The clock by which documents are signed, which may be ahead of the chain made by hand."""
    return max(time.time_ns() // 1_000_000, START_MS) + 60_000


@pytest.fixture
def files(node: Any, tmp_path: Path) -> dict[str, Path]:
    """What from_files takes: the clerk's key and password, the certificates, the department's secret."""
    root = x509.issue_root("Demo City Root", now_ms=START_MS)
    department = x509.issue_department(root, DEPARTMENT, "示范局", now_ms=START_MS)
    person = x509.issue_person(department, "签发人", node.chain.clerk.public_key, now_ms=START_MS)
    save_key(tmp_path / "clerk.key", node.chain.clerk, b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    (tmp_path / "secret").write_text(SECRET.hex() + "\n")
    (tmp_path / "chain.pem").write_text(person.pem + department.certificate.pem)
    names = {"key": "clerk.key", "password_file": "password", "chain": "chain.pem", "holder_secret": "secret"}
    return {option: tmp_path / name for option, name in names.items()}


@pytest.fixture
def issuer(node: Any, files: dict[str, Path]) -> Iterator[Issuer]:
    with Issuer.from_files(node.url, **files) as made:
        yield made


def test_issued_presented_and_verified(issuer: Issuer, node: Any, trust_path: Path, tmp_path: Path) -> None:
    issued = issuer.issue(TYPE_CODE, "20269000001", number="示1号", **CONTENT)
    issued.save(tmp_path / "deed.json", tmp_path / "proof.json")
    shown = present_certificate((tmp_path / "deed.json").read_bytes(), ["坐落"])
    trust = load_trust(trust_path)
    verdict = verify_proof(issued.proof, GivenDocument(shown), trust, now_ms())
    assert (verdict.code, verdict.document["values"]) == ("IN_FORCE", {"坐落": "示例路1号"})
    assert "示例路1号" not in issued.proof.decode()
    Certificates(issuer.client).revoke(identifier=issued.identifier, status="03", reason="测试")
    again = issuer.issue(TYPE_CODE, "20269000001", number="示1号", **CONTENT)
    assert verify_proof(again.proof, GivenDocument(shown), trust, now_ms()).code == "ENDED"


def test_asked_again_it_gives_the_same_certificate_and_another_is_refused(issuer: Issuer, node: Any) -> None:
    first = issuer.issue(TYPE_CODE, "20269000002", **CONTENT)
    height = node.chain.height
    again = issuer.issue(TYPE_CODE, "20269000002", **CONTENT)
    # Only the time of the signature differs.
    assert json.loads(again.document)["core"] == json.loads(first.document)["core"]
    assert node.chain.height == height + 1, "one call more, which the contract refused"
    with pytest.raises(CallRefused) as refused:
        issuer.issue(TYPE_CODE, "20269000002", **(CONTENT | {"issued_on": "2026-05-02"}))
    assert refused.value.code == "CERTIFICATE_EXISTS"


def test_a_certificate_is_renewed_once_however_often_it_is_asked_for(
    issuer: Issuer, node: Any, trust_path: Path
) -> None:
    old = issuer.issue(TYPE_CODE, "20269000007", **CONTENT)
    words: dict[str, Any] = {
        "version": "002",
        "predecessor": old.identifier,
        "reason": "换发",
    }
    new = issuer.issue(TYPE_CODE, "20269000007", **words, **CONTENT)
    again = issuer.issue(TYPE_CODE, "20269000007", **words, **CONTENT)
    assert again.identifier == new.identifier
    trust = load_trust(trust_path)
    assert verify_proof(again.proof, GivenDocument(new.document), trust, now_ms()).code == "IN_FORCE"
    proof = issuer.issue(TYPE_CODE, "20269000007", **CONTENT).proof
    assert verify_proof(proof, GivenDocument(old.document), trust, now_ms()).code == "SUPERSEDED"
    with pytest.raises(CallRefused):
        issuer.issue(TYPE_CODE, "20269000008", **(words | {"version": "001"}), **CONTENT)


def test_what_cannot_be_issued_is_said_before_anything_is_sent(
    issuer: Issuer, node: Any, files: dict[str, Path]
) -> None:
    height = node.chain.height
    for changes, code in (
        ({"type_code": "11100000MB03271699002"}, "ISSUER_NOT_AUTHORISED"),
        ({"serial": "x"}, "IDENTIFIER_MALFORMED"),
        ({"valid_from": "2026-02-30"}, "DATE_MALFORMED"),
        ({"fields": {"ZZMC": "x"}}, "DOCUMENT_MALFORMED"),
        ({"holder_key": b"\1" * 64}, "DOCUMENT_MALFORMED"),
    ):
        asked = {"type_code": TYPE_CODE, "serial": "20269000003", **CONTENT, **changes}
        with pytest.raises(InputError) as caught:
            issuer.issue(**asked)
        assert caught.value.code == code
    assert node.chain.height == height
    files["password_file"].write_text("another\n")
    absent = files["chain"].with_name("none")
    for wrong in (files, files | {"key": files["chain"]}, files | {"key": absent}, files | {"password_file": absent}):
        with pytest.raises(InputError) as caught:
            Issuer.from_files(node.url, **wrong)
        assert caught.value.code == "KEY_UNUSABLE"
    files["password_file"].write_text("password\n")
    files["holder_secret"].write_text("abc")
    with pytest.raises(InputError, match="64 hex digits"):
        Issuer.from_files(node.url, **files)


def test_a_document_with_a_holders_key_is_presented_under_it_and_no_other(issuer: Issuer) -> None:
    key = PrivateKey.generate()
    bound = issuer.issue(TYPE_CODE, "20269000004", holder_key=key.public_key, **CONTENT).document
    free = issuer.issue(TYPE_CODE, "20269000005", **CONTENT).document
    shown = present_certificate(bound, ["面积"], signer=Signer(key), recipient="示例银行", purpose="办理抵押")
    assert json.loads(shown)["binding"]["recipient"] == "示例银行"
    for document, words in (
        (bound, {}),
        (bound, {"signer": Signer(PrivateKey.generate()), "recipient": "示例银行", "purpose": "x"}),
        (free, {"signer": Signer(key), "recipient": "示例银行", "purpose": "x"}),
        (free, {"recipient": "示例银行"}),
    ):
        with pytest.raises(InputError) as caught:
            present_certificate(document, ["面积"], **words)
        assert caught.value.code == "HOLDER_KEY_DIFFERS"
    with pytest.raises(InputError) as caught:
        present_certificate(free, ["没有"])
    assert caught.value.code == "FIELD_UNKNOWN"


@pytest.fixture
def ask(issuer: Issuer, node: Any, trust_path: Path) -> Ask:
    """Send one request to the service and return status and answer."""
    app = make_app(IssuingService(issuer, load_trust(trust_path), now_ms), TOKEN)

    def send(target: str, body: bytes, token: str = TOKEN, method: str = "POST") -> tuple[int, Any]:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                headers = {b"authorization": f"Bearer {token}".encode()}
                return await client.request(method, target, content=body, headers=headers)

        answer = asyncio.run(exchange())
        return answer.status_code, answer.json() if answer.headers.get("content-type", "").startswith("app") else None

    return send


def test_over_http_it_is_the_same(ask: Ask) -> None:
    asked = {
        "type_code": TYPE_CODE,
        "serial": "20269000006",
        "valid_from": "2026-05-01",
        "issued_on": "2026-05-01",
        "holder": {"code_type": "999", "code": "N1", "name": "张三"},
        "fields": {"坐落": "示例路1号", "面积": "98.5"},
    }
    status, document = ask("/issue", json.dumps(asked).encode())
    assert (status, document["core"]["ZZBS"]) == (200, make_identifier(TYPE_CODE, DEPARTMENT, "20269000006"))
    status, shown = ask("/present?show=面积", json.dumps(document).encode())
    assert (status, [one["value"] for one in shown["fields"]]) == (200, ["98.5"])
    raw = json.dumps(shown).encode()
    assert ask("/proof", raw)[1]["record"]["fields"]["identifier"] == document["core"]["ZZBS"]
    status, verdict = ask("/verify", raw)
    assert (status, verdict["code"], verdict["document"]["values"]) == (200, "IN_FORCE", {"面积": "98.5"})
    status, verdict = ask("/verify", raw.replace(b"98.5", b"99.5"))
    assert (status, verdict["is_accepted"], verdict["code"]) == (200, False, "FIELD_CHANGED")
    assert ask("/issue", json.dumps(asked | {"number": "示1号"}).encode())[0] == 409


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("/issue", b"", 422, "BODY_INVALID"),
        ("/issue", b"[" * 100_000, 422, "BODY_INVALID"),
        ("/issue", b'{"type_code": "x", "serial": "1", "valid_from": "2026-05-01", "more": 1}', 422, "BODY_INVALID"),
        ("/issue", b'{"serial": "1", "serial": "2", "type_code": "", "valid_from": ""}', 422, "BODY_INVALID"),
        ("/issue", b'{"serial": "1", "type_code": "x", "valid_from": "2026-05-01"}', 422, "ISSUER_NOT_AUTHORISED"),
        ("/present", b"{}", 422, "DOCUMENT_MALFORMED"),
        ("/proof", b"%PDF", 422, "DOCUMENT_MALFORMED"),
        ("/verify", b"\xff", 422, "DOCUMENT_MALFORMED"),
        ("/verify", b" " * (4 * 1024 * 1024 + 1), 413, "BODY_TOO_LARGE"),
    ],
)
def test_what_the_service_does_not_take(ask: Ask, target: str, body: bytes, status: int, code: str) -> None:
    found, answer = ask(target, body)
    assert (found, answer["code"]) == (status, code)
    assert answer["zh"] != answer["en"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["serial", "holder", "fields"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda content: json.dumps(content).encode()))
def test_any_body_is_a_request_or_has_the_one_error(body: bytes) -> None:
    # A request needs type, serial and day, which no body here has together: the issuer is never asked.
    service = IssuingService(None, None, now_ms)  # type: ignore[arg-type]
    for work, code in ((service.issue, "BODY_INVALID"), (service.present, "DOCUMENT_MALFORMED")):
        with pytest.raises(InputError) as caught:
            work(body, QueryParams(""))
        assert caught.value.code == code


def test_without_the_token_nothing_is_answered(ask: Ask, tmp_path: Path) -> None:
    for token in ("", "t" * 31, "T" * 32, "令牌"):
        assert ask("/verify", b"{}", token)[0] == 401
    assert ask("/verify", b"", method="GET")[0] == 405
    made = load_token(tmp_path / "token")
    assert (load_token(tmp_path / "token"), (tmp_path / "token").stat().st_mode & 0o777) == (made, 0o600)
    with pytest.raises(InputError):
        make_app(None, "short")  # type: ignore[arg-type]
