"""Forgeries of what goes with a certificate: holders' authorisations, status lists, codes on paper."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from contracts import registry
from contracts.anchors import anchor_key
from contracts.authorisations import NO_CODE
from contracts.identifiers import ROOT_OID
from node.chain.codec import encode
from node.chain.transaction import address_of
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, TYPE_CODE
from tests.verification.tampering.forged_world import (
    DAY_MS,
    ForgedWorld,
    Forgeries,
    at,
    edited,
    flip,
)
from verification.authorisations import (
    Authorisation,
    decode_authorisation,
    make_authorisation,
    make_withdrawal,
    sign_authorisation,
    verify_authorisation,
    verify_withdrawal,
)
from verification.certificate_files.document import encode_file
from verification.codes import (
    PRESENTATION_PREFIX,
    VerificationLink,
    decode_base45,
    encode_base45,
    make_link,
    pack_presentation,
    read_code,
)
from verification.freshness import with_status_list
from verification.status_list import Scope, decode_status_list, encode_status_list

STATEMENT_MALFORMED = "AUTHORISATION_MALFORMED"
LIST_MALFORMED = "STATUS_LIST_MALFORMED"
CODE_MALFORMED, CODE_UNKNOWN = "CODE_MALFORMED", "CODE_UNKNOWN"


class CallOutcome(msgspec.Struct, frozen=True):
    """How a call of a contract ended; `code` names the refusal."""

    is_accepted: bool
    code: str


class Fetches:
    """The holder's signed statement, and the ledger's side of it: an account that records, one that fetches."""

    def __init__(self, w: ForgedWorld) -> None:
        self._w = w
        document = w.documents["bound"]
        self.statement = self.make(w.now_ms)
        self.raw = encode_file(self.statement)
        self.document = document
        roles = ["issuer", "publisher", "approver", "recorder"]
        w.chain.call(
            w.chain.governor, "members", "set_roles", account=address_of(w.chain.clerk.public_key), roles=roles
        )

    def make(self, to_ms: int, number: int = 0, **changes: Any) -> Authorisation:
        w = self._w
        content: dict[str, Any] = {
            "genesis": w.chain.genesis.hash,
            "number": number,
            "recipient": CONSUMER,
            "purpose": "办理抵押",
            "fields": ["坐落"],
            "attachments": [],
            "from_ms": w.chain.time_ms,
            "to_ms": to_ms,
            "max_fetches": 1,
            "salt": bytes([number + 1]) * 32,
        }
        document = w.documents["bound"]
        made = make_authorisation(document, **{**content, **changes})
        return sign_authorisation(made, document.core, w.holder)

    def record(self, statement: Authorisation, key: PrivateKey | None = None, code: bytes = NO_CODE) -> CallOutcome:
        return self.call(
            key or self._w.chain.clerk,
            "authorise",
            authorisation=bytes.fromhex(statement.id),
            recipient=statement.recipient,
            statement=statement.digest,
            purpose=statement.purpose_commitment(statement.purpose),
            code=code,
            from_ms=statement.from_ms,
            to_ms=statement.to_ms,
            max_fetches=statement.max_fetches,
        )

    def fetch(
        self,
        statement: Authorisation,
        *,
        purpose: str = "办理抵押",
        code: bytes = NO_CODE,
        by: PrivateKey | None = None,
    ) -> CallOutcome:
        chain = self._w.chain
        return self.call(
            chain.clerk,
            "record_fetch",
            authorisation=bytes.fromhex(statement.id),
            requester=address_of((by or chain.consumer).public_key),
            purpose=statement.purpose_commitment(purpose),
            code=code,
            request=sm3(chain.height.to_bytes(8)),
            result=sm3(b"file"),
        )

    def call(self, key: PrivateKey, method: str, **arguments: Any) -> CallOutcome:
        chain = self._w.chain
        address, data = registry.encode_call("authorisations", method, **arguments)
        found = chain.execute(address_of(key.public_key), address, data, sm3(chain.height.to_bytes(8)))
        return CallOutcome(found.refusal is None, found.refusal or "RECORDED")


def statements(w: ForgedWorld) -> Forgeries:
    """The holder's statement changed after it was signed, or made by somebody else."""
    made = Fetches(w)
    genesis = w.chain.genesis.hash

    def stated(name: str, to: Any) -> Callable[[], Any]:
        return lambda: verify_authorisation(decode_authorisation(edited(made.raw, name, to=to)), made.document, genesis)

    thief_s = make_withdrawal(made.statement, w.thief, w.now_ms)
    yield "another recipient", "HOLDER_SIGNATURE_INVALID", stated("recipient", DEPARTMENT)
    yield "another purpose", "HOLDER_SIGNATURE_INVALID", stated("purpose", "办理贷款")
    yield "a field more", "HOLDER_SIGNATURE_INVALID", stated("fields", ["坐落", "CZZTDM"])
    yield "a longer term", "HOLDER_SIGNATURE_INVALID", stated("to_ms", w.now_ms + 90 * DAY_MS)
    yield "more fetches", "HOLDER_SIGNATURE_INVALID", stated("max_fetches", 9)
    yield "another salt", "HOLDER_SIGNATURE_INVALID", stated("salt", "00" * 32)
    yield "another number", "AUTHORISATION_ID_WRONG", stated("number", 7)
    yield "another id", "AUTHORISATION_ID_WRONG", stated("id", flip)
    yield "another certificate", "DOCUMENT_CHANGED", stated("ZZBS", w.identifier("single"))
    yield "another document's digest", "DOCUMENT_CHANGED", stated("document_digest", flip)
    yield "another network", "ANOTHER_NETWORK", stated("genesis", flip)
    yield "the holder's signature left out", "HOLDER_SIGNATURE_MISSING", stated("signature", "")
    yield "the holder's signature changed", "HOLDER_SIGNATURE_INVALID", stated("signature", flip)
    yield (
        "signed by the thief",
        "HOLDER_SIGNATURE_INVALID",
        stated("signature", w.thief.sign(made.statement.digest).hex()),
    )
    yield (
        "a member more",
        STATEMENT_MALFORMED,
        lambda: decode_authorisation(made.raw.replace(b'"number":', b'"note": 1, "number":', 1)),
    )
    yield (
        "withdrawn by the thief",
        "HOLDER_SIGNATURE_INVALID",
        lambda: verify_withdrawal(thief_s, made.document, genesis),
    )


def fetches(w: ForgedWorld) -> Forgeries:
    """Fetches that no authorisation on the ledger allows."""
    made = Fetches(w)

    def on_ledger(number: int, attempt: Callable[[Authorisation], Any], **changes: Any) -> Callable[[], Any]:
        def run() -> Any:
            statement = made.make(changes.pop("to_ms", w.now_ms), number, **changes)
            assert made.record(statement).is_accepted
            return attempt(statement)

        return run

    def after_withdrawal(statement: Authorisation) -> Any:
        made.call(w.chain.clerk, "withdraw", authorisation=bytes.fromhex(statement.id), withdrawal=sm3(b"said"))
        return made.fetch(statement)

    def twice(statement: Authorisation) -> Any:
        assert made.fetch(statement).is_accepted
        return made.fetch(statement)

    def late(statement: Authorisation) -> Any:
        w.chain.time_ms += 120_000
        return made.fetch(statement)

    yield "fetched after the holder withdrew it", "AUTHORISATION_WITHDRAWN", on_ledger(1, after_withdrawal)
    yield "fetched after its term", "AUTHORISATION_EXPIRED", on_ledger(2, late, to_ms=w.chain.time_ms + 60_000)
    yield "fetched before its term", "AUTHORISATION_NOT_BEGUN", on_ledger(3, made.fetch, from_ms=w.now_ms - 1)
    yield "fetched once more than allowed", "AUTHORISATION_USED_UP", on_ledger(4, twice)
    yield (
        "fetched for another purpose",
        "PURPOSE_DIFFERS",
        on_ledger(5, lambda statement: made.fetch(statement, purpose="办理贷款")),
    )
    yield (
        "fetched by another department",
        "NOT_THE_RECIPIENT",
        on_ledger(6, lambda statement: made.fetch(statement, by=w.chain.clerk)),
    )
    yield (
        "fetched with a code that was never given",
        "CODE_WRONG",
        on_ledger(7, lambda statement: made.fetch(statement, code=sm3(b"12345678"))),
    )
    yield (
        "fetched under an authorisation that there is not",
        "AUTHORISATION_UNKNOWN",
        lambda: made.fetch(made.make(w.now_ms, 99)),
    )
    yield (
        "recorded a second time with another recipient's statement",
        "AUTHORISATION_EXISTS",
        on_ledger(8, lambda statement: made.record(made.make(w.now_ms, 8, purpose="办理贷款"))),
    )


def _with_list(w: ForgedWorld, listed: bytes, proof: bytes | None = None) -> Any:
    return with_status_list(w.verify(proof or w.proofs["single"]), listed, w.list_trust)


def list_contents(w: ForgedWorld) -> Forgeries:
    """Lists whose content was changed after they were signed."""
    raw = w.list_now

    def part(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: _with_list(w, edited(raw, *path, to=to))

    def bits(change: Callable[[bytearray], None]) -> Callable[[str], str]:
        def run(text: str) -> str:
            content = bytearray(zlib.decompress(base64.b64decode(text)))
            change(content)
            return base64.b64encode(zlib.compress(bytes(content))).decode()

        return run

    def clear(content: bytearray) -> None:
        content[:] = bytes(len(content))

    def move(content: bytearray) -> None:
        content[:] = content[1:] + content[:1]

    bomb = base64.b64encode(zlib.compress(bytes(10**7))).decode()
    yield "every bit cleared", LIST_MALFORMED, part("bits", to=bits(clear))
    yield (
        "every bit cleared, and the count",
        "SIGNATURE_INVALID",
        lambda: _with_list(w, edited(edited(raw, "bits", to=bits(clear)), "changed_count", to=0)),
    )
    yield "bits moved to other entries", "SIGNATURE_INVALID", part("bits", to=bits(move))
    yield "a later height", "SIGNATURE_INVALID", part("height", to=lambda height: height + 1)
    yield "a later time", "SIGNATURE_INVALID", part("time_ms", to=lambda time_ms: time_ms + 1)
    yield "another block", "SIGNATURE_INVALID", part("block_id", to=flip)
    yield "another network", "STATUS_LIST_OF_ANOTHER_NETWORK", part("genesis_hash", to=flip)
    yield "another issuer", "SIGNATURE_INVALID", part("scope", to=f"{TYPE_CODE}.{CONSUMER}")
    yield "another count of changes", "SIGNATURE_INVALID", part("changed_count", to=lambda count: count + 1)
    yield "another number of entries", LIST_MALFORMED, part("entries", to=262_144)
    yield "fewer entries than any list has", LIST_MALFORMED, part("entries", to=1_024)
    yield "more behind the bits than there are entries", LIST_MALFORMED, part("bits", to=bomb)
    yield "bits that are none", LIST_MALFORMED, part("bits", to="!!!!")
    yield (
        "a member that stands twice",
        LIST_MALFORMED,
        lambda: _with_list(w, raw.replace(b'"height":', b'"height": 1, "height":', 1)),
    )


def list_signatures(w: ForgedWorld) -> Forgeries:
    """Lists that nobody vouches for who counts, or that are about other certificates."""
    raw = w.list_now

    def part(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: _with_list(w, edited(raw, *path, to=to))

    signature = at(raw, "signatures")[0]
    yield "the signature left out", "STATUS_LIST_NOT_VOUCHED", part("signatures", to=[])
    yield "the signature changed", "SIGNATURE_INVALID", part("signatures", 0, "signature", to=flip)
    yield (
        "another department named for the signature",
        "SIGNATURE_INVALID",
        part("signatures", 0, "department", to=CONSUMER),
    )
    yield "another list's signature", "SIGNATURE_INVALID", part("signatures", to=at(w.batch_list, "signatures"))
    yield (
        "a second signature that does not hold",
        "SIGNATURE_INVALID",
        part("signatures", to=[signature, signature | {"signature": flip(signature["signature"])}]),
    )
    yield (
        "signed by an impostor",
        "SIGNER_NOT_TRUSTED",
        lambda: _with_list(w, w.status_list(Scope(TYPE_CODE, DEPARTMENT), w.impostor)),
    )
    yield (
        "signed by another department in the issuer's name",
        "SIGNER_NOT_OF_DEPARTMENT",
        lambda: _with_list(w, w.status_list(Scope(TYPE_CODE, DEPARTMENT), w.copier)),
    )
    yield "a batch's list for a single certificate", "STATUS_LIST_NOT_ABOUT", lambda: _with_list(w, w.batch_list)
    yield (
        "another batch's list",
        "STATUS_LIST_NOT_ABOUT",
        lambda: _with_list(w, w.status_list(Scope(TYPE_CODE, DEPARTMENT, "20280000000")), w.member_proof),
    )
    yield (
        "a batch's list with another root",
        "SIGNATURE_INVALID",
        lambda: _with_list(w, edited(w.batch_list, "batch_root", to=flip), w.member_proof),
    )
    yield "the anchor of another list", "ANCHOR_INVALID", lambda: _with_list(w, _with_anothers_anchor(w))


def _with_anothers_anchor(w: ForgedWorld) -> bytes:
    """A list beside which stands the proof that its issuer anchored another list."""
    other = decode_status_list(w.batch_list).content.digest
    w.chain.call(w.chain.clerk, "anchors", "anchor", digest=other, label="状态清单")
    proof = encode(w.chain.prove(anchor_key(other, DEPARTMENT)))
    return encode_status_list(msgspec.structs.replace(decode_status_list(w.list_now), anchors=(proof,)))


def _repacked(code: str, change: Callable[[Any], None]) -> str:
    """Return a code taken apart, changed and put together again."""
    content = msgspec.msgpack.decode(zlib.decompress(decode_base45(code[len(PRESENTATION_PREFIX) :])))
    change(content)
    return PRESENTATION_PREFIX + encode_base45(zlib.compress(msgspec.msgpack.encode(content), 9))


def _put(place: tuple[int, ...], to: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for step in place[:-1]:
            content = content[step]
        content[place[-1]] = to(content[place[-1]]) if callable(to) else to

    return change


def _scanned(w: ForgedWorld, content: str, proof: bytes | None = None, recipient: str | None = None) -> Any:
    """Return the verdict on what a code carries, by a proof of its certificate."""
    found = read_code(content)
    if isinstance(found, VerificationLink):
        return w.verify(w.prove_identifier(found.identifier))
    return w.verify(proof or w.proofs["single"], encode_file(found), recipient=recipient)


def damaged_codes(w: ForgedWorld) -> Forgeries:
    """Codes that were damaged, and links to elsewhere."""
    text = pack_presentation(w.shown)
    body = decode_base45(text[len(PRESENTATION_PREFIX) :])
    link = make_link("https://node.example", w.identifier("single"), w.drafts["single"].digest).text
    half = len(text) // 2
    bomb = PRESENTATION_PREFIX + encode_base45(zlib.compress(bytes(10**6), 9))
    yield "cut in half", CODE_MALFORMED, lambda: _scanned(w, text[:half])
    yield "a character less", CODE_MALFORMED, lambda: _scanned(w, text[:-1])
    yield (
        "characters exchanged in the middle",
        CODE_MALFORMED,
        lambda: _scanned(w, text[:half] + text[half + 30 :] + text[half : half + 30]),
    )
    yield "more behind it", CODE_MALFORMED, lambda: _scanned(w, PRESENTATION_PREFIX + encode_base45(body + b"more"))
    yield "what unpacks to a thousand times its size", CODE_MALFORMED, lambda: _scanned(w, bomb)
    yield "longer than any code", CODE_MALFORMED, lambda: _scanned(w, text + "0" * 4_296)
    yield (
        "a group of characters that stands for no bytes",
        CODE_MALFORMED,
        lambda: _scanned(w, PRESENTATION_PREFIX + ":::" + text[len(PRESENTATION_PREFIX) + 3 :]),
    )
    yield "the format of a later version", CODE_UNKNOWN, lambda: _scanned(w, "GN2:" + text[4:])
    yield "in small letters", CODE_UNKNOWN, lambda: _scanned(w, text.lower())
    yield (
        "a link to a certificate that there is not",
        "NOT_ON_LEDGER",
        lambda: _scanned(w, make_link("https://node.example", w.draft("20260000077").core.identifier).text),
    )
    yield "a link that runs a script", CODE_UNKNOWN, lambda: _scanned(w, "javascript:" + link)
    yield "a link with a question behind it", CODE_UNKNOWN, lambda: _scanned(w, link + "?TO=EVIL.EXAMPLE")
    yield "a link with half a digest", CODE_UNKNOWN, lambda: _scanned(w, link[:-10])
    yield (
        "a link with another user before its host",
        CODE_UNKNOWN,
        lambda: _scanned(w, link.replace("//", "//NODE.EXAMPLE@EVIL.", 1)),
    )


def repacked_codes(w: ForgedWorld) -> Forgeries:
    """Codes taken apart, changed and put together again; and a code that was made out to another."""
    text, bound = pack_presentation(w.shown), pack_presentation(w.bound)
    yield "a shown value exchanged", "FIELD_CHANGED", lambda: _scanned(w, _repacked(text, _put((1, 0, 1), "示例路1号")))
    yield "a salt exchanged", "FIELD_CHANGED", lambda: _scanned(w, _repacked(text, _put((1, 0, 2), bytes(16))))
    yield "a longer validity", "DOCUMENT_CHANGED", lambda: _scanned(w, _repacked(text, _put((0, 5), "2041-04-30")))
    yield (
        "another identifier",
        "ANOTHER_CERTIFICATE",
        lambda: _scanned(w, _repacked(text, _put((0, 0), w.identifier("other").removeprefix(ROOT_OID)))),
    )
    yield (
        "an identifier with another check character",
        "CHECK_CHARACTER_MISMATCH",
        lambda: _scanned(
            w, _repacked(text, _put((0, 0), lambda found: found[:-1] + ("A" if found[-1] != "A" else "B")))
        ),
    )
    yield (
        "a commitment exchanged",
        "DOCUMENT_CHANGED",
        lambda: _scanned(w, _repacked(text, _put((0, 9, 0, 1), bytes(32)))),
    )
    yield (
        "the seal's signature exchanged",
        "SIGNATURE_INVALID",
        lambda: _scanned(w, _repacked(text, _put((3, 1), bytes(64)))),
    )
    yield (
        "another recipient",
        "HOLDER_SIGNATURE_INVALID",
        lambda: _scanned(w, _repacked(bound, _put((4, 0), "示例银行")), w.proofs["bound"]),
    )
    yield (
        "the holder's signature taken out",
        "HOLDER_SIGNATURE_MISSING",
        lambda: _scanned(w, _repacked(bound, _put((4,), None)), w.proofs["bound"]),
    )
    yield "another's code", "ANOTHERS_COPY", lambda: _scanned(w, bound, w.proofs["bound"], "示例银行")
    yield (
        "a part more than the format has",
        CODE_MALFORMED,
        lambda: _scanned(w, _repacked(text, lambda content: content.append(None))),
    )
