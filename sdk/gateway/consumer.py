"""The consumer's side of a gateway: tokens, reads, receipts compared with what came, and its own record of each read."""

from __future__ import annotations

import secrets
import time
from typing import Final, NamedTuple

import httpx
import msgspec
import orjson

from contracts.accounts import RECORDER
from contracts.characters import has_control_character
from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED
from contracts.data_sharing.sharing import RequestRecord
from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.recorder import Recorder
from sdk.client import Client
from sdk.closing import Closing
from sdk.department_services.service_client import Answer, Limits, ServiceClient, ServiceKind, Signing
from sdk.errors import NodeUnreachable, RequestRefused, read_refusal
from sdk.gateway.own_endpoints import MAX_NUMBER_DIGITS, RECEIPTS_PATH, TOKEN_PATH
from sdk.gateway.read_headers import (
    CASE_HEADER,
    CASE_TYPE_HEADER,
    NONCE_HEADER,
    NUMBER_HEADER,
    OPERATOR_HEADER,
    RECEIPT_HEADER,
    TOKEN_HEADER,
    header_text,
    query_digest,
    result_digest,
)
from sdk.gateway.receipts import StatedRead, decode_receipt, receipt_invalid, verify_receipt
from sdk.gateway.tokens import IssuedToken, TokenRequest, session_digest
from sdk.identity_numbers import check_free_text
from sdk.persons.numbers import NO_PERSON, PersonReference
from sdk.request_signing import RequestSigner
from sdk.system_contracts.members import Members
from sdk.system_contracts.sharing import Sharing
from verification.access.reads import (
    CONSUMER_SIDE,
    MAX_CASE_LENGTH,
    MAX_CASE_TYPE_LENGTH,
    NO_DIGEST,
    PROVIDER_SIDE,
    READ_NONCE_BYTES,
    SALT_BYTES,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
    read_id,
)
from verification.errors import GovnodeError, InputError

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
TIMEOUT_S: Final = 60.0
MAX_ANSWER_S: Final = 600.0
"""For one answer in all, of the largest size over a slow line."""
TOKEN_MARGIN_MS: Final = 10_000
"""A token that ends so soon is not used any more."""
ACCOUNT_KEPT_S: Final = 60.0
"""How long a gateway's account counts as active without asking the node again."""
_KIND: Final = ServiceKind(
    "访问网关", "an access gateway", "http://127.0.0.1:8590", "GATEWAY_UNREACHABLE", "NOT_A_GATEWAY", is_at_root=True
)
METHODS: Final = frozenset({"GET", "POST"})
"""Of reads: routes of gateways have no others."""
_TOKEN_GONE: Final = frozenset({"TOKEN_INVALID", "TOKEN_EXPIRED"})


class Case(NamedTuple):
    """Why one read is made: its case, and the official who asks as a 32-byte commitment (NO_DIGEST for none)."""

    number: str
    type: str = ""
    operator: bytes = NO_DIGEST


class ReadAnswer(NamedTuple):
    """What came back, its receipt verified: what the provider states of the read, and the nonce that opens its digests."""

    status: int
    body: bytes
    content_type: str
    read: StatedRead
    nonce: bytes


class _Sent(NamedTuple):
    """A read on its way."""

    method: str
    target: bytes
    body: bytes
    case: Case
    person: PersonReference
    nonce: bytes
    session: bytes
    asked_ms: int


class GatewayConsumer(Closing):
    """Reads under one grant from one gateway; for one thread at a time. Use as a context manager."""

    def __init__(
        self,
        url: str,
        client: Client,
        signer: RequestSigner,
        grant: bytes,
        system: str,
        recorder: Recorder | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Take the gateway's `http(s)://host:port`, a client of the own node, the account that asks, and a grant (32 bytes).

        With a recorder the own side of each read is recorded. Raises RequestRefused where the ledger has no such grant.
        """
        self._gateway = ServiceClient(_KIND, url, Limits(MAX_ANSWER_BYTES, timeout_s, MAX_ANSWER_S))
        self._client, self._recorder = client, recorder
        self._signing = Signing(signer, client.chain_id)
        self._account = client.address
        self._grant: RequestRecord = Sharing(client).data_request(grant)
        self._system = system
        self._token, self._token_until_ms = "", 0
        self._keys: dict[bytes, tuple[bytes, float]] = {}

    def close(self) -> None:
        """End the connections."""
        self._gateway.close()

    def read(
        self,
        target: str,
        case: Case,
        *,
        method: str = "GET",
        content: bytes = b"",
        content_type: str = "application/json",
        person: PersonReference | None = None,
    ) -> ReadAnswer:
        """Return the answer to one read of `target` (path and query), recorded on this side before it is returned.

        Raises RequestRefused with the gateway's reason, NodeUnreachable where no answer came, and InputError RECEIPT_INVALID where
        the receipt is not for what came; all three are recorded too, and so is what came while the own node did not help to check it.
        Raises InputError IDENTITY_NUMBER, CASE_INVALID, METHOD_INVALID or TARGET_INVALID, and asks nothing, for what is no read.
        """
        _check_case(case)
        if method not in METHODS:
            raise InputError(
                "METHOD_INVALID", f"读取用 GET 或 POST，实为 {method}", f"a read is by GET or POST, found {method}"
            )
        raw_target = _raw_target(target)
        found = PersonReference(NO_PERSON) if person is None else person
        for attempt in range(2):
            token = self.current_token()
            nonce, session = secrets.token_bytes(READ_NONCE_BYTES), session_digest(token.encode("utf-8"))
            sent = _Sent(method, raw_target, content, case, found, nonce, session, _now_ms())
            answer = self._send(sent, token, content_type)
            refusal = _refusal(answer)
            if refusal is None:
                return self._finish(sent, answer)
            self._record(sent, DENIED, refusal.code, None, None)
            # The gateway has started again, or the token ran out on the way: an honest one has neither looked at the read nor recorded it.
            if attempt or refusal.code not in _TOKEN_GONE:
                raise refusal
            self.renewed_token()
        raise AssertionError("the second attempt ends it")

    def _finish(self, sent: _Sent, answer: Answer) -> ReadAnswer:
        body = answer.body
        if answer.status >= 500 and RECEIPT_HEADER not in answer.headers:
            self._record(sent, DENIED, "NOT_A_GATEWAY", None, None)
            raise self._gateway.another()
        result = result_digest(sent.nonce, answer.status, body)
        came = (result, len(body))
        try:
            read = self._check_receipt(sent, self._receipt_text(answer.headers), result)
            self._record(sent, SERVED, "", read, came)
        except RecordingFailed:
            raise
        except GovnodeError as error:
            self._record(sent, IRREGULAR, error.code, None, came)
            raise
        except Exception as error:
            # Data has come: nothing that a gateway puts around it keeps this side from having a record of it.
            wrong = receipt_invalid(type(error).__name__, type(error).__name__)
            self._record(sent, IRREGULAR, wrong.code, None, came)
            raise wrong from error
        kind = answer.headers.get("content-type", "")
        return ReadAnswer(answer.status, body, kind, read, sent.nonce)

    def current_token(self) -> str:
        """Return a token that is good for some time yet, from the gateway where there is none; raise as read does."""
        if not self._token or _now_ms() > self._token_until_ms - TOKEN_MARGIN_MS:
            asked = TokenRequest(self._grant.id.hex(), self._grant.purpose, self._system)
            raw = self._gateway.ask("POST", TOKEN_PATH, msgspec.json.encode(asked), by=self._signing)
            try:
                issued = msgspec.json.decode(raw, type=IssuedToken)
            except (msgspec.DecodeError, ValueError, RecursionError):
                raise self._gateway.another() from None
            # By this clock: the gateway's may be another.
            self._token, self._token_until_ms = issued.token, _now_ms() + issued.life_ms
        return self._token

    def renewed_token(self) -> str:
        """Return a token that was not used before: after the gateway has started again the last one is none."""
        self._token = ""
        return self.current_token()

    def _receipt_text(self, headers: httpx.Headers) -> str:
        """Return the receipt of an answer with these headers; one that is too long for them is asked for.

        Raises InputError RECEIPT_INVALID where there is none.
        """
        text, number = str(headers.get(RECEIPT_HEADER, "")), str(headers.get(NUMBER_HEADER, ""))
        if text or not (number.isascii() and number.isdigit()) or len(number) > MAX_NUMBER_DIGITS:
            return text
        try:
            raw = self._gateway.ask("GET", RECEIPTS_PATH + number, by=self._signing)
            return str(orjson.loads(raw)["receipt"])
        except GovnodeError as error:
            raise receipt_invalid(error.zh, error.en) from None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise receipt_invalid("网关没有给出回执", "the gateway did not give it") from None

    def _send(self, sent: _Sent, token: str, content_type: str) -> Answer:
        headers = {
            TOKEN_HEADER: f"Bearer {token}",
            NONCE_HEADER: sent.nonce.hex(),
            CASE_HEADER: header_text(sent.case.number),
        }
        if sent.case.type:
            headers[CASE_TYPE_HEADER] = header_text(sent.case.type)
        if sent.case.operator != NO_DIGEST:
            headers[OPERATOR_HEADER] = sent.case.operator.hex()
        if sent.body:
            headers["Content-Type"] = content_type
        try:
            return self._gateway.exchange(sent.method, sent.target, sent.body, headers)
        except NodeUnreachable as error:
            self._record(sent, DENIED, error.code, None, None)
            raise
        except Exception as error:
            # The gateway has recorded the read perhaps, whatever in its answer cannot be taken.
            wrong = self._gateway.another()
            self._record(sent, DENIED, wrong.code, None, None)
            raise wrong from error

    def _check_receipt(self, sent: _Sent, text: str, result: bytes) -> StatedRead:
        """Return the provider's record of a read that came with these bytes; raise InputError RECEIPT_INVALID."""
        if not text:
            raise receipt_invalid("应答没有回执", "the answer has none")
        receipt = decode_receipt(text)
        stated = verify_receipt(receipt, self._recorder_key(receipt.read.recorder))
        details, grant = stated.details, self._grant
        expected: tuple[tuple[str, object, object], ...] = (
            ("read_id", details.read_id, read_id(grant.id, self._account, sent.nonce, sent.session)),
            ("grant", stated.sharing.grant, grant.id),
            ("account", stated.sharing.account, self._account),
            ("provider", (stated.department, stated.side), (grant.provider, PROVIDER_SIDE)),
            ("outcome", stated.outcome, SERVED),
            ("purpose", stated.case.purpose, grant.purpose),
            ("case", (stated.case.case_type, stated.case.case_number), (sent.case.type, sent.case.number)),
            ("operator", stated.case.operator, sent.case.operator),
            ("query", details.query_digest, query_digest(sent.nonce, sent.method, sent.target, sent.body)),
            ("result", details.result_digest, result),
        )
        for name, found, wanted in expected:
            if found != wanted:
                raise receipt_invalid(f"{name} 与所读不符", f"its {name} is not that of this read")
        return stated

    def _recorder_key(self, address: bytes) -> bytes:
        """Return the public key of the account that a record names, which must record for the grant's provider."""
        key, until_s = self._keys.get(address, (b"", 0.0))
        if time.monotonic() < until_s:
            return key
        members = Members(self._client)
        if members.department_of(address) != self._grant.provider:
            raise receipt_invalid("记录账户不属于提供方", "the account that recorded is not the provider's")
        account = members.account(address)
        if RECORDER not in account.roles:
            raise receipt_invalid("账户没有记录角色", "the account has no role recorder")
        self._keys = {address: (account.public_key, time.monotonic() + ACCOUNT_KEPT_S)}
        return account.public_key

    def _record(
        self, sent: _Sent, outcome: int, refusal: str, stated: StatedRead | None, result: tuple[bytes, int] | None
    ) -> None:
        """Record this side of a read; what the provider states of rows and columns is taken over, digests are this side's own."""
        if self._recorder is None:
            return
        grant, salts = self._grant, secrets.token_bytes(4 * SALT_BYTES)
        digest, size = (NO_DIGEST, 0) if result is None else result
        details = Details(
            read_id(grant.id, self._account, sent.nonce, sent.session),
            f"{sent.method} -" if stated is None else stated.details.operation,
            () if stated is None else stated.details.columns,
            0 if stated is None else stated.details.rows,
            query_digest(sent.nonce, sent.method, sent.target, sent.body),
            digest,
            len(sent.body),
            size,
            sent.asked_ms,
            _now_ms(),
            refusal,
            salts[:16],
        )
        sharing = SharingPart(
            grant.id, grant.resource, grant.provider, grant.consumer, self._account, self._system, salts[32:48]
        )
        case = CasePart(grant.purpose, sent.case.type, sent.case.number, sent.case.operator, salts[48:])
        subject = Subject(sent.person.commitment, sent.person.sealed, salts[16:32])
        self._recorder.record(ReadDraft(CONSUMER_SIDE, outcome, subject, sharing, case, details))


def _check_case(case: Case) -> None:
    """Return if a gateway takes the texts of a case as they are; raise InputError CASE_INVALID or IDENTITY_NUMBER."""
    for name, text, most in (
        ("case_number", case.number, MAX_CASE_LENGTH),
        ("case_type", case.type, MAX_CASE_TYPE_LENGTH),
    ):
        check_free_text(name, text)
        if len(text) > most or text != text.strip() or has_control_character(text):
            raise InputError(
                "CASE_INVALID",
                f"{name} 至多 {most} 字，首尾没有空格，没有不可见字符",
                f"{name}: expected at most {most} characters, no space at its ends and none that is invisible",
            )


def _raw_target(target: str) -> bytes:
    """Return path and query as they are sent; raise InputError TARGET_INVALID."""
    try:
        url = httpx.URL(target)
        is_good = target.startswith("/") and not (url.host or url.fragment)
    except httpx.InvalidURL:
        is_good = False
    if not is_good:
        raise InputError(
            "TARGET_INVALID",
            "应为路径与查询串，如 /houses/1?year=2026，不含主机与 #",
            "expected a path and query such as /houses/1?year=2026, without a host and without #",
        )
    return url.raw_path


def _refusal(answer: Answer) -> RequestRefused | None:
    """Return what a gateway refuses; None where an answer is none of its refusals, though it may read like one.

    A service behind the gateway may speak of errors in the same form: of what leaves as its answer the receipt says that it was served.
    """
    if answer.status < httpx.codes.BAD_REQUEST or (refusal := read_refusal(answer.body)) is None:
        return None
    try:
        is_answer = decode_receipt(answer.headers.get(RECEIPT_HEADER, "")).read.outcome == SERVED
    except InputError:
        is_answer = False
    return None if is_answer else refusal


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
