"""What the sharing interface takes and answers: the fields of GB/T 36906 as implemented, and ours beside them."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from contracts.fields import Address, check_text
from contracts.identifiers import MAX_IDENTIFIER_LENGTH, parse_identifier
from contracts.refusals import Refused
from sdk.identity_numbers import check_free_text
from sm_crypto.sm3 import TaggedHash
from verification.access.reads import MAX_CASE_LENGTH, MAX_SYSTEM_LENGTH
from verification.authorisations import Authorisation
from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES, MAX_FIELD_VALUE, decode_strictly
from verification.certificate_files.presentation import MAX_PURPOSE, Purpose
from verification.certificate_files.seals import Hex32, TimeMs
from verification.days import CHINA_TIME, day_end_ms
from verification.errors import InputError

MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_FILE_BYTES: Final = 32 * 1024 * 1024
"""Of an attached file that goes out with a copy."""
MAX_ANSWER_BYTES: Final = 2 * (MAX_FILE_BYTES + MAX_DOCUMENT_FILE_BYTES)
FILE_TYPES: Final = {"json": "application/json", "ofd": "application/ofd", "pdf": "application/pdf", "png": "image/png"}
"""What may be asked for, and the media type of the attachment that it means; `json` is the annotated copy alone."""

_REQUEST: Final = TaggedHash("govnode/sharing-request/1")
_OPTIONAL_TEXT = Annotated[str, msgspec.Meta(max_length=MAX_FIELD_VALUE)]


class SharingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A department asks for a certificate; what names it may be left out where `access_token` does.

    The names are the standard's but for the last five. What is given must be what the certificate says.
    """

    use_cause: Purpose
    """Why it is needed, in the words that the holder agreed to."""
    grant: Hex32
    """The sharing grant between the two departments that the read is recorded under."""
    case_number: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CASE_LENGTH)]
    system: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SYSTEM_LENGTH)]
    request_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)", max_length=32)]
    """16 random bytes: the same request sent again is answered again, and counts once."""
    access_token: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", max_length=64)] = ""
    """The holder's authorisation, by its id."""
    cert_identifier: Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_LENGTH)] = ""
    holder_code: _OPTIONAL_TEXT = ""
    holder_type_code: _OPTIONAL_TEXT = ""
    cert_type_code: _OPTIONAL_TEXT = ""
    cert_no: _OPTIONAL_TEXT = ""
    expiry_time: Annotated[str, msgspec.Meta(max_length=19)] = ""
    """Until when the copy is needed, China time: YYYY-MM-DD or YYYY-MM-DD HH:MM:SS; the authorisation's end where empty."""
    file_type: Literal["json", "ofd", "pdf", "png"] = "json"
    code: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{8})?$(?!\n)", max_length=8)] = ""
    """The one-time code that the holder told."""


class SharedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A file of the answer: its bytes in base64 beside their SM3."""

    name: str
    media_type: str
    sm3: Hex32
    content: str

    def data(self) -> bytes:
        """Return the bytes; raise InputError ANSWER_INVALID where they are none."""
        try:
            return base64.b64decode(self.content, validate=True)
        except binascii.Error:
            raise _invalid_answer("a file is not in base64") from None


class SharingAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What an issuer hands out: the annotated copy first, then the attachment asked for, and where the ledger has it."""

    format: Literal["govnode-shared-certificate/1"]
    cert_identifier: str
    issuer: str
    status: str
    """What the certificate was when it was handed out; only one in force is."""
    authorisation: Authorisation
    fetch_number: Annotated[int, msgspec.Meta(ge=1)]
    fetched_ms: TimeMs
    height: Annotated[int, msgspec.Meta(ge=0)]
    access_number: Annotated[int, msgspec.Meta(ge=1)]
    """Number of the access record in the issuer's stream."""
    files: Annotated[tuple[SharedFile, ...], msgspec.Meta(min_length=1, max_length=2)]


def decode_request(raw: bytes) -> SharingRequest:
    """Return the request in a body; raise InputError REQUEST_MALFORMED with what was expected, or IDENTITY_NUMBER."""
    try:
        asked = decode_strictly(raw, SharingRequest)
        check_text("useCause", asked.use_cause, MAX_PURPOSE)
        check_text("caseNumber", asked.case_number, MAX_CASE_LENGTH)
        check_text("system", asked.system, MAX_SYSTEM_LENGTH)
        # Both get into the access record, on the ledger.
        check_free_text("caseNumber", asked.case_number)
        check_free_text("system", asked.system)
        expiry_ms(asked)
        if asked.cert_identifier:
            asked = msgspec.structs.replace(asked, cert_identifier=parse_identifier(asked.cert_identifier).text)
    except Refused as refused:
        raise _malformed(*refused.texts) from None
    except InputError as error:
        if error.code in {"REQUEST_MALFORMED", "IDENTITY_NUMBER"}:
            raise
        raise _malformed(error.zh.partition("：")[2], error.en.partition(": ")[2]) from None
    if not asked.access_token and not asked.cert_identifier:
        raise _malformed("accessToken 与 certIdentifier 至少给出一项", "give accessToken or certIdentifier")
    return asked


def expiry_ms(asked: SharingRequest) -> int | None:
    """Return until when a copy is asked for, None where the request does not say; raise InputError REQUEST_MALFORMED."""
    text = asked.expiry_time
    if not text:
        return None
    try:
        if len(text) == len("YYYY-MM-DD"):
            return day_end_ms(text)
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA_TIME)
        return int(moment.timestamp()) * 1_000
    except (ValueError, OverflowError):
        raise _malformed(
            f"expiryTime 应为 YYYY-MM-DD 或 YYYY-MM-DD HH:MM:SS，实为 {text!r}",
            f"expected expiryTime as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, found {text!r}",
        ) from None


def request_digest(requester: Address, body: bytes) -> bytes:
    """Return the 32 bytes that stand for a request on the ledger: who asked (20-byte address), and the bytes of the body."""
    return _REQUEST(requester + body)


def decode_answer(raw: bytes) -> SharingAnswer:
    """Return the answer of a sharing interface; raise InputError ANSWER_INVALID on anything else."""
    try:
        return msgspec.json.decode(raw, type=SharingAnswer)
    except msgspec.DecodeError as error:
        raise _invalid_answer(str(error)) from None


def _malformed(zh: str, en: str) -> InputError:
    return InputError("REQUEST_MALFORMED", f"请求不合规：{zh}", f"not a well-formed request: {en}")


def _invalid_answer(reason: str) -> InputError:
    return InputError(
        "ANSWER_INVALID",
        f"应答不是证照共享接口的格式，请检查地址（{reason}）",
        f"the answer is not one of a certificate sharing interface, check the address ({reason})",
    )
