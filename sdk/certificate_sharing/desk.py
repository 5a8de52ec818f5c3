"""An issuer's desk for authorised fetches: hands out copies that the ledger knows of before they leave."""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from contracts.accounts import RECORDER
from contracts.authorisations import NO_CODE
from contracts.certificate_records import VERDICTS, StatusAt
from contracts.data_sharing.sharing import RequestRecord, is_in_force
from contracts.refusals import Refused
from explorer.auth import Caller
from sdk.access_recording.recorder import Recorder
from sdk.certificate_sharing.exchange import (
    FILE_TYPES,
    SharedFile,
    SharingAnswer,
    SharingRequest,
    decode_request,
    expiry_ms,
    request_digest,
)
from sdk.certificate_sharing.fetch_reads import (
    draft_fetch,
    granted_columns,
    record_once,
    refused_fetch,
    served_fetch,
)
from sdk.certificate_sharing.statements import Statements, check_roles
from sdk.certificate_sharing.store import KeptFetch
from sdk.department_services.audit_queries import query_times
from sdk.errors import CallRefused, RequestRefused
from sdk.gateway.pace import MinutePace
from sdk.gateway.shown_records import ShownRecords
from sdk.gateway.supply_beginning import SupplyBeginning
from sdk.persons.client import PersonClient
from sdk.persons.numbers import NO_PERSON, PersonReference, normal_person
from sdk.system_contracts.authorisations import Authorisations
from sdk.system_contracts.batches import Batches
from sdk.system_contracts.certificates import Certificates
from sdk.system_contracts.members import Members
from sdk.system_contracts.sharing import Sharing
from sm_crypto.keystore import Signer
from sm_crypto.sm3 import sm3
from sm_crypto.x509 import Certificate
from verification.access.reads import PROVIDER_SIDE, ReadDraft
from verification.authorisations import Authorisation, check_names, code_digest
from verification.certificate_files.annotated_copy import AnnotatedCopy, make_annotated_copy
from verification.certificate_files.document import CertificateDocument, content_of, encode_file
from verification.certificate_files.presentation import present
from verification.certificate_files.seals import BatchSeal, check_signer
from verification.errors import GovnodeError, InputError

MAX_WRONG_GUESSES: Final = 5
"""Of one authorisation: one-time codes, and what a request says of certificate and holder."""
MAX_REFUSED_PER_MINUTE: Final = 30
"""Of one department: each is recorded."""
NOBODY: Final = PersonReference(NO_PERSON)


class Desk:
    """Everything that answers; its methods may be called from any thread, and record one fetch at a time."""

    def __init__(
        self,
        statements: Statements,
        signer: Signer,
        chain: Sequence[Certificate],
        recorder: Recorder,
        persons: PersonClient | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        supply: SupplyBeginning | None = None,
    ) -> None:
        """Take statements whose client signs with the recorder's account, and the person's key and chain that sign copies.

        `persons` finds what stands for a holder in the records; without it they name nobody. `supply` tells the ledger of each grant
        that a first copy was handed out under it; without it the provider says so by hand.
        Raises InputError where the account may not record, or the chain is another department's.
        """
        self.statements, self.department = statements, statements.department
        self._client, self._holdings, self._store = statements.client, statements.holdings, statements.store
        self._signer, self._chain = signer, tuple(chain)
        self._recorder, self._persons, self._supply = recorder, persons, supply
        self._now_ms = now_ms
        self._ledger = Authorisations(self._client)
        self._shown = ShownRecords(recorder.store, query_times(self._client), now_ms)
        self._lock = threading.Lock()
        self._refused = MinutePace(MAX_REFUSED_PER_MINUTE)
        check_signer(signer, chain)
        check_roles(self._client, RECORDER)
        if chain[1].organization_identifier != self.department:
            raise InputError(
                "SIGNER_NOT_OF_DEPARTMENT",
                f"签名证书属于 {chain[1].organization_identifier}，账户属于 {self.department}",
                f"the signing certificate is of {chain[1].organization_identifier}, the account of {self.department}",
            )

    def show_records(self, caller: Caller, given: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the records of fetches that a query string asks for, to auditors whose query the headers name, and to parties."""
        return self._shown.answer(caller, given, headers)

    def fetch(self, caller: Caller, body: bytes) -> SharingAnswer:
        """Return the answer to a request, recorded before it is returned; raise GovnodeError with the reason, also recorded."""
        self._check_signer()
        self._check_recording()
        asked = decode_request(body)
        digest = request_digest(caller.address, body)
        with self._lock:
            self._check_pace(caller.department)
            grant = self._grant(asked, caller)
            statement = self.statements.find(asked.access_token, asked.cert_identifier, caller.department)
            document = self._holdings.document(statement.identifier)
            draft = draft_fetch(PROVIDER_SIDE, asked, grant, caller.address, digest, self._now_ms())
            try:
                return self._hand_out(asked, caller, grant, statement, document, draft)
            except (InputError, CallRefused) as error:
                self._refused.count(caller.department)
                self._recorder.record(refused_fetch(draft, error.code))
                raise

    def _hand_out(
        self,
        asked: SharingRequest,
        caller: Caller,
        grant: RequestRecord,
        statement: Authorisation,
        document: CertificateDocument,
        draft: ReadDraft,
    ) -> SharingAnswer:
        now_ms = self._now_ms()
        if not is_in_force(grant, now_ms):
            raise _refused("GRANT_NOT_IN_FORCE", f"共享授权 {asked.grant} 不在有效期内", "the grant is not in force")
        if statement.recipient != caller.department:
            raise _refused(
                "NOT_THE_RECIPIENT",
                f"部门 {caller.department} 不是持证人授权的领取部门",
                f"department {caller.department} is not the one that the holder authorised",
            )
        check_names(statement, document.core)
        code = self._code(asked, statement, document)
        self._check_stated(asked, statement, document)
        columns = granted_columns(grant, statement, document.core)
        status = self._status(document, now_ms)
        request = draft.details.query_digest
        attachment = self._attachment(asked, statement, document)
        kept = self._store.fetch(request)
        copy, kept = self._copy(asked, caller, statement, document, kept, now_ms)
        raw = encode_file(copy)
        self._store.keep_fetch(request, kept)
        try:
            receipt = self._ledger.record_fetch(
                authorisation=bytes.fromhex(statement.id),
                requester=caller.address,
                purpose=statement.purpose_commitment(asked.use_cause),
                code=code,
                request=request,
                result=sm3(raw),
            )
        except CallRefused:
            if not kept.number:
                self._store.forget_fetch(request)
            raise
        number = int(receipt.output, 16)
        # On disk that the ledger counted it: after a crash the same request is answered again, and recorded once.
        self._store.keep_fetch(request, msgspec.structs.replace(kept, number=number))
        access_number = record_once(self._recorder, self._served(draft, columns, document, raw))
        if self._supply is not None:
            self._supply.note(grant.id, grant)
        return SharingAnswer(
            "govnode-shared-certificate/1",
            document.core.identifier,
            self.department,
            status,
            statement,
            number,
            receipt.time_ms,
            receipt.height,
            access_number,
            (_shared("annotated-copy.json", FILE_TYPES["json"], raw), *attachment),
        )

    def _copy(
        self,
        asked: SharingRequest,
        caller: Caller,
        statement: Authorisation,
        document: CertificateDocument,
        kept: KeptFetch | None,
        now_ms: int,
    ) -> tuple[AnnotatedCopy, KeptFetch]:
        """Return the copy for this request: made now, or the one that was made for it before, byte for byte."""
        made_ms = now_ms if kept is None else kept.made_ms
        expires_ms = min(expiry_ms(asked) or statement.to_ms, statement.to_ms) if kept is None else kept.expires_ms
        if expires_ms <= made_ms:
            raise _refused("COPY_EXPIRED", "所要求的使用期限已过", "the copy would have expired before it is made")
        copy = make_annotated_copy(
            present(document, statement.fields, statement.attachments),
            self._signer,
            self._chain,
            reason=statement.purpose,
            recipient=Members(self._client).department(caller.department).name,
            made_ms=made_ms,
            expires_ms=expires_ms,
        )
        if kept is None:
            return copy, KeptFetch(made_ms, expires_ms, copy.signature)
        return msgspec.structs.replace(copy, signature=kept.signature), kept

    def _attachment(
        self, asked: SharingRequest, statement: Authorisation, document: CertificateDocument
    ) -> tuple[SharedFile, ...]:
        if asked.file_type == "json":
            return ()
        media_type = FILE_TYPES[asked.file_type]
        for place, one in enumerate(document.core.attachments):
            if one.media_type == media_type and one.name in statement.attachments:
                data = self._holdings.file(document.files[place].sm3, asked.file_type)
                return (_shared(one.name, media_type, data),)
        raise _refused(
            "FILE_TYPE_NOT_SHARED",
            f"持证人授权出示的附件中没有 {asked.file_type} 文件",
            f"the holder allows no {asked.file_type} file of this certificate",
        )

    def _code(self, asked: SharingRequest, statement: Authorisation, document: CertificateDocument) -> bytes:
        """Return the digest of the one-time code that was told, zeros where there is none; refuse a wrong one, and all after too many."""
        name = bytes.fromhex(statement.id)
        if self._store.wrong_guesses(name) >= MAX_WRONG_GUESSES:
            raise _refused(
                "AUTHORISATION_LOCKED",
                f"授权码或核对内容已错 {MAX_WRONG_GUESSES} 次，请持证人重新授权",
                f"{MAX_WRONG_GUESSES} wrong codes or details were told; the holder authorises anew",
            )
        code = code_digest(bytes.fromhex(document.secret), name, asked.code) if asked.code else NO_CODE
        if code != self._ledger.authorisation(issuer=self.department, authorisation=name).code:
            if asked.code:
                self._store.count_wrong_guess(name)
            refused = Refused("CODE_WRONG", found=name)
            raise _refused(refused.code, *refused.texts)
        return code

    def _check_stated(self, asked: SharingRequest, statement: Authorisation, document: CertificateDocument) -> None:
        """Refuse a request that names another certificate or holder than the authorised one.

        After the code, without a word of which part differs, and a few times only: a recipient could find hidden values by trying.
        """
        core = document.core
        values = dict(zip((field.name for field in core.fields), document.values, strict=True))
        held = (
            (asked.cert_identifier, core.identifier),
            (asked.cert_type_code, core.type_code),
            (asked.cert_no, values.get("ZZBH", "")),
            (asked.holder_code, values.get("CZZTDM", "")),
            (asked.holder_type_code, values.get("CZZTDMLXDM", "")),
        )
        # A list, so that all are compared: the time that the first one differs at would tell which.
        if not [1 for stated, value in held if stated and not hmac.compare_digest(stated.encode(), value.encode())]:
            return
        self._store.count_wrong_guess(bytes.fromhex(statement.id))
        raise _refused(
            "REQUEST_DIFFERS",
            "请求中的证照标识、类型、编号或持证主体与授权的证照不符",
            "identifier, type, number or holder in the request are not those of the certificate that was authorised",
        )

    def _status(self, document: CertificateDocument, now_ms: int) -> str:
        """Return the verdict on a certificate that is in force; refuse by the verdict where it is not, DOCUMENT_CHANGED for another."""
        try:
            found = self._status_found(document, now_ms)
        except RequestRefused as error:
            if error.code not in {"CERTIFICATE_UNKNOWN", "BATCH_UNKNOWN", "NOT_IN_BATCH", "ANOTHER_CERTIFICATE"}:
                raise
            raise _refused("NOT_ON_LEDGER", error.zh, error.en) from None
        if not found.is_valid:
            raise _refused(found.verdict, *VERDICTS[found.verdict])
        return found.verdict

    def _status_found(self, document: CertificateDocument, now_ms: int) -> StatusAt:
        content, seal = content_of(document.core), document.seal
        if isinstance(seal, BatchSeal):
            path = [bytes.fromhex(one) for one in seal.path]
            return Batches(self._client).status(
                batch=seal.batch, position=seal.position, content=content, path=path, time_ms=now_ms
            )
        certificates = Certificates(self._client)
        if certificates.certificate(content.identifier).document_digest != content.document_digest:
            raise _refused("DOCUMENT_CHANGED", "文件与账本登记的不符", "the document is not the registered one")
        return certificates.certificate_status(identifier=content.identifier, time_ms=now_ms)

    def _grant(self, asked: SharingRequest, caller: Caller) -> RequestRecord:
        """Return the sharing grant that a read is recorded under; refuse one that is not between the two departments."""
        grant = Sharing(self._client).data_request(bytes.fromhex(asked.grant))
        if (grant.provider, grant.consumer) != (self.department, caller.department):
            raise _refused(
                "NOT_A_PARTY",
                f"共享授权 {asked.grant} 不是 {self.department} 给 {caller.department} 的",
                f"the grant {asked.grant} is not one by {self.department} to {caller.department}",
            )
        return grant

    def _served(
        self, draft: ReadDraft, columns: tuple[str, ...], document: CertificateDocument, raw: bytes
    ) -> ReadDraft:
        """Return what is recorded of a copy that is handed out."""
        person = self._find_person(document)
        subject = msgspec.structs.replace(draft.subject, person=person.commitment, sealed_person=person.sealed)
        return msgspec.structs.replace(served_fetch(draft, columns, raw, self._now_ms()), subject=subject)

    def _find_person(self, document: CertificateDocument) -> PersonReference:
        """Return what stands for the holder in access records: nothing where it is no person, or nobody is asked for commitments."""
        values = dict(zip((field.name for field in document.core.fields), document.values, strict=True))
        code, code_type = values.get("CZZTDM", ""), values.get("CZZTDMLXDM", "")
        if self._persons is None or not code:
            return NOBODY
        try:
            return self._persons.find(normal_person(code, code_type))
        except InputError:
            return NOBODY

    def _check_signer(self) -> None:
        """Refuse to hand out copies that nobody could verify; the issuer's fault, so nothing is recorded against who asks."""
        if min(one.not_after_ms for one in self._chain) <= self._now_ms():
            raise RequestRefused(
                "SIGNING_CERTIFICATE_EXPIRED",
                "本机构签署加注件的证书已过期，请告知其运维人员",
                "the certificate that this issuer signs copies with has expired: tell its operator",
            )

    def _check_recording(self) -> None:
        """Refuse to hand anything out that could not be put on the ledger in time."""
        if not self._recorder.is_open_for_reads():
            raise RequestRefused(
                "RECORDING_STOPPED",
                "访问记录暂时不能登记，领取服务已按策略停止，请稍后再试",
                "reads cannot be recorded for now, and the service has stopped as it declared; try again later",
            )

    def _check_pace(self, department: str) -> None:
        if self._refused.is_used_up(department):
            raise RequestRefused(
                "TOO_MANY_REFUSED",
                f"一分钟内被拒 {MAX_REFUSED_PER_MINUTE} 次，请稍后再试",
                f"{MAX_REFUSED_PER_MINUTE} requests were refused within a minute; try again later",
            )


def _shared(name: str, media_type: str, data: bytes) -> SharedFile:
    return SharedFile(name, media_type, sm3(data).hex(), base64.b64encode(data).decode("ascii"))


def _refused(code: str, zh: str, en: str) -> GovnodeError:
    return InputError(code, zh, en)
