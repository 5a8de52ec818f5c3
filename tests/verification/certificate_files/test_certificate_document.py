"""Documents: what an issuer makes verifies, by roots or by the ledger; what the rules forbid is one error; digests are pinned."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.batches import leaf_hash
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import make_identifier
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import hmac_sm3, sm3
from verification.certificate_files import document as documents
from verification.certificate_files.document import (
    Attachment,
    CertificateDocument,
    FileDigest,
    Particulars,
    decode_document,
    document_secret,
    draft_contents,
    draft_document,
    encode_file,
    field_commitment,
    file_digest,
    seal_document,
)
from verification.certificate_files.file_verification import STEPS_OF, verify_document
from verification.certificate_files.seals import sign_batch, sign_document
from verification.days import day_end_ms, day_start_ms
from verification.errors import InputError

DAY_MS = 86_400_000
ISSUER, TYPE_CODE = "11990100MB0000002X", "11100000MB03271699001"


def test_a_document_verifies_and_shows_its_values(world: Any, document: CertificateDocument, pdf: bytes) -> None:
    raw = encode_file(document)
    verdict = verify_document(
        raw,
        world.expect(
            ledger=world.draft().content,
            attachments={"产权证.pdf": file_digest(pdf)},
        ),
    )
    assert verdict.is_accepted, verdict
    assert verdict.code == "GENUINE"
    assert tuple(step.step for step in verdict.steps) == STEPS_OF["document"]
    assert {step.step for step in verdict.steps if step.state == "not-asked"} == {"batch"}
    assert verdict.values is not None
    assert verdict.values["CZZT"] == "张三"
    assert verdict.values["CZZTDMLX"] == "公民身份号码"
    assert verdict.signer == "示例市自然资源局签章人"
    assert decode_document(raw) == document


def test_the_same_input_makes_the_same_digest(world: Any) -> None:
    # An issuer that starts again after a crash must come to the same batch.
    assert world.draft().digest == world.draft().digest
    assert world.draft("20260000002").digest != world.draft().digest


def tagged(tag: str, value: Any) -> str:
    """SM3 as docs/spec/certificate-document.md puts it, by another road than the code: tag block, then MessagePack."""
    return hashlib.new("sm3", tag.encode().ljust(64, b"\0") + packed(value)).hexdigest()


def packed(value: Any) -> bytes:
    """MessagePack, shortest forms, for what the cores hold: texts and bytes below 256, arrays below 16, small numbers."""
    if isinstance(value, int):
        return bytes([value])
    if isinstance(value, bytes):
        return bytes([0xC4, len(value)]) + value
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else bytes([0xD9, len(raw)])) + raw
    return bytes([0x90 | len(value)]) + b"".join(map(packed, value))


def test_digests_are_those_of_the_specification() -> None:
    identifier = make_identifier(TYPE_CODE, ISSUER, "1")
    secret = document_secret(bytes(32), identifier)
    draft = draft_document(
        {
            "ZZBS": identifier,
            "ZZMC": "样本",
            "ZZBFJG": "示例局",
            "ZZBFRQ": "2026-01-01",
            "ZZYXQQSRQ": "2026-01-01",
            "CZZT": "示例",
            "CZZTDM": "1",
            "CZZTDMLXDM": "999",
        },
        [("备注", "无")],
        [Attachment("a.txt", "text/plain", file_digest(b"abc"))],
        secret,
    )
    assert [field.name for field in draft.core.fields] == ["CZZT", "CZZTDM", "CZZTDMLX", "CZZTDMLXDM", "备注"]
    core = draft.core
    salts = [hmac_sm3(secret, b"govnode/field-salt/1\0" + place.to_bytes(4, "big"))[:16] for place in range(5)]
    fields = [
        tagged("govnode/certificate-field/1", [identifier, place, field.name, salts[place], draft.values[place]])
        for place, field in enumerate(core.fields)
    ]
    salt = hmac_sm3(secret, b"govnode/attachment-salt/1\0" + bytes(4))[:16]
    attachment = tagged(
        "govnode/certificate-attachment/1", [identifier, 0, "a.txt", "text/plain", salt, 3, sm3(b"abc")]
    )
    assert [field.commitment for field in core.fields] == fields
    assert [one.commitment for one in core.attachments] == [attachment]
    assert draft.digest.hex() == tagged(
        "govnode/certificate-document/1",
        [
            *(identifier, "样本", TYPE_CODE, "示例局", ISSUER, "2026-01-01", "2026-01-01", "9999-12-31", ""),
            *(bytes.fromhex(core.holder_commitment), b""),
            [[field.name, bytes.fromhex(field.commitment)] for field in core.fields],
            [["a.txt", "text/plain", bytes.fromhex(attachment)]],
        ],
    )
    assert draft.digest.hex() == "a12ae93a0b502cb3be7cf130aa8d73349195c2109cefaedf3343a394e6d8bee9"


def test_what_the_ledger_gets(world: Any) -> None:
    draft = world.draft()
    assert draft.content.document_digest == draft.digest
    assert draft.content.holder_commitment.hex() == draft.core.holder_commitment
    assert (draft.content.valid_from_ms, draft.content.valid_to_ms) == (
        day_start_ms("2026-07-01"),
        day_end_ms("2031-06-30"),
    )
    assert world.draft(ZZYXQJZRQ="9999-12-31").content.valid_to_ms == MAX_TIME_MS


def test_a_field_is_bound_to_document_place_name_salt_and_value() -> None:
    base: dict[str, Any] = {"identifier": "1", "position": 0, "name": "a", "salt": bytes(16), "value": "b"}
    changed = {"identifier": "2", "position": 1, "name": "b", "salt": b"\1" * 16, "value": "c"}
    found = {field_commitment(**base)} | {field_commitment(**{**base, name: value}) for name, value in changed.items()}
    # Lengths are part of the encoding: moving a character between name and value makes another commitment.
    found |= {
        field_commitment(**{**base, "name": "ab", "value": ""}),
        field_commitment(**{**base, "name": "", "value": "ab"}),
    }
    assert len(found) == 8


def test_documents_of_a_batch_carry_one_signature_and_their_paths(world: Any) -> None:
    drafts = [world.draft(f"2026{serial:07d}") for serial in range(1, 6)]
    leaves = [leaf_hash(draft.content) for draft in drafts]
    root = merkle_root(leaves)
    batch = sign_batch(
        *(f"{TYPE_CODE}.{ISSUER}.20260000001", 5, root, b"\5" * 32),
        *(world.issuer.signer, world.issuer.chain, world.now_ms),
    )
    for position, draft in enumerate(drafts):
        sealed = seal_document(draft, batch.seal(position, merkle_path(leaves, position)))
        verdict = verify_document(encode_file(sealed), world.expect(ledger_root=root))
        assert verdict.is_accepted, verdict
        assert {step.step for step in verdict.steps if step.state == "not-asked"} == {"attachments"}
    elsewhere = seal_document(drafts[0], batch.seal(1, merkle_path(leaves, 1)))
    assert verify_document(encode_file(elsewhere), world.expect()).code == "NOT_IN_BATCH"
    sealed = seal_document(drafts[0], batch.seal(0, merkle_path(leaves, 0)))
    assert verify_document(encode_file(sealed), world.expect(ledger_root=b"\1" * 32)).code == "ANOTHER_BATCH"
    for name in (f"{TYPE_CODE}.{ISSUER}.20260000002", f"{TYPE_CODE}.11990100MB00000031.20260000001", "x"):
        other = sign_batch(name, 5, root, bytes(32), world.issuer.signer, world.issuer.chain, world.now_ms)
        named = seal_document(drafts[0], other.seal(0, merkle_path(leaves, 0)))
        assert verify_document(encode_file(named), world.expect()).code == "NOT_IN_BATCH"


def test_trust_comes_from_roots_or_from_the_ledger(world: Any, document: CertificateDocument) -> None:
    raw, content = encode_file(document), world.draft().content
    assert verify_document(raw, world.expect(roots=None)).code == "TRUST_MISSING"
    assert verify_document(raw, world.expect(roots=())).code == "SIGNER_NOT_TRUSTED"
    by_ledger = verify_document(raw, world.expect(roots=None, ledger=content))
    assert by_ledger.is_accepted
    assert {step.step: step.state for step in by_ledger.steps}["chain"] == "not-asked"
    other = world.draft("20260000002").content
    assert verify_document(raw, world.expect(ledger=other)).code == "ANOTHER_CERTIFICATE"
    changed = msgspec.structs.replace(content, document_digest=other.document_digest)
    assert verify_document(raw, world.expect(ledger=changed)).code == "DOCUMENT_CHANGED"
    for changes in ({"valid_to_ms": content.valid_to_ms + 1}, {"holder_commitment": other.holder_commitment}):
        differing = msgspec.structs.replace(content, **changes)
        assert verify_document(raw, world.expect(ledger=differing)).code == "RECORD_DIFFERS"
    assert verify_document(raw, world.expect(ledger_root=other.document_digest)).code == "ANOTHER_BATCH"
    assert verify_document(raw, world.expect(now_ms=world.now_ms - DAY_MS)).code == "SIGNED_IN_FUTURE"


def test_only_a_person_of_the_issuer_signs(world: Any) -> None:
    draft = world.draft()

    def code(signer: Signer, chain: tuple[x509.Certificate, ...], signed_ms: int = world.now_ms) -> str:
        sealed = seal_document(draft, sign_document(draft.digest, signer, chain, signed_ms))
        return verify_document(encode_file(sealed), world.expect(now_ms=signed_ms)).code

    issuer, copier = world.issuer, world.copier
    assert code(issuer.signer, (*issuer.chain, world.root)) == "GENUINE"
    assert code(copier.signer, copier.chain) == "SIGNER_NOT_OF_DEPARTMENT"
    key = PrivateKey.generate()
    node = x509.issue_node(issuer.authority, "node1", key.public_key, now_ms=world.now_ms)
    assert code(Signer(key), (node, issuer.authority.certificate)) == "SIGNER_NOT_OF_DEPARTMENT"
    authority = Signer(issuer.authority.key)
    assert code(authority, (issuer.authority.certificate, world.root)) == "SIGNER_NOT_OF_DEPARTMENT"
    false_root = x509.issue_root("Demo City Root", now_ms=world.now_ms)
    false = x509.issue_department(false_root, ISSUER, "示例市自然资源局", now_ms=world.now_ms)
    person = x509.issue_person(false, "x", key.public_key, now_ms=world.now_ms)
    assert code(Signer(key), (person, false.certificate)) == "SIGNER_NOT_TRUSTED"
    assert code(issuer.signer, issuer.chain, world.now_ms + 4 * 365 * DAY_MS) == "SIGNER_NOT_TRUSTED"
    with pytest.raises(InputError) as caught:
        sign_document(draft.digest, issuer.signer, copier.chain, world.now_ms)
    assert caught.value.code == "CHAIN_INVALID"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"ZZMC": ""}, "must not be empty"),
        ({"ZZMC": "证照\u202e"}, "ZZMC"),
        ({"ZZBS": "1.2.3"}, "identifier"),
        ({"ZZBFJGDM": "11990100MB00000031"}, "issuer codes that stand in it"),
        ({"ZZLXDM": "11100000MB03271699002"}, "issuer codes that stand in it"),
        ({"ZZYXQJZRQ": "2026-06-30"}, "is not after the start"),
        ({"ZZYXQQSRQ": "2026-02-30"}, "day is out of range"),
        ({"ZZBFRQ": "2026-7-1"}, "isoformat"),
        ({"ZZBFRQ": "0000-01-01"}, "year 0"),
        ({"associatedZzeCertID": "x"}, "identifier"),
        ({"CZZT": "x" * 4097}, "at most 4096|1 to 4096"),
        ({"CZZT": "a\tb"}, "CZZT"),
        ({"CZZT": "a\ud800"}, "Unicode"),
        ({"holder": "x"}, "no name of the metadata"),
    ],
)
def test_what_a_document_must_not_say(world: Any, changes: dict[str, str], found: str) -> None:
    with pytest.raises(InputError, match=found) as caught:
        world.draft(**changes)
    assert caught.value.code == "DOCUMENT_MALFORMED"


@pytest.mark.parametrize(
    "fields",
    [
        [("坐落", "a"), ("坐落", "b")],
        [("ZZMC", "a")],
        [("坐落", "a"), ("CZZT", "b")],
        [("CZZTDM", "a"), ("CZZT", "b")],
        [("", "a")],
        [(" a", "a")],
        [("a" * 65, "a")],
        [("a", "")],
        [(f"f{place}", "a") for place in range(documents.MAX_FIELDS + 1)],
    ],
)
def test_names_of_fields_are_plain_and_distinct(fields: list[tuple[str, str]]) -> None:
    identifier = make_identifier(TYPE_CODE, ISSUER, "1")
    metadata = {"ZZBS": identifier, "ZZMC": "a", "ZZBFJG": "b", "ZZBFRQ": "2026-01-01", "ZZYXQQSRQ": "2026-01-01"}
    with pytest.raises(InputError) as caught:
        draft_document(metadata, fields, [], bytes(32))
    assert caught.value.code == "DOCUMENT_MALFORMED"


def test_limits_of_attachments_keys_and_secrets() -> None:
    identifier = make_identifier(TYPE_CODE, ISSUER, "1")
    metadata = {"ZZBS": identifier, "ZZMC": "a", "ZZBFJG": "b", "ZZBFRQ": "2026-01-01", "ZZYXQQSRQ": "2026-01-01"}
    good = Attachment("a", "text/plain", file_digest(b""))
    makers: list[Callable[[], Any]] = [
        lambda: draft_document(metadata, [], [good] * 2, bytes(32)),
        lambda: draft_document(
            metadata,
            [],
            [Attachment(f"{n}", "a/b", good.digest) for n in range(documents.MAX_ATTACHMENTS + 1)],
            bytes(32),
        ),
        lambda: draft_document(metadata, [], [Attachment("a", "text/plain\n", good.digest)], bytes(32)),
        lambda: draft_document(metadata, [], [Attachment("a", "text", good.digest)], bytes(32)),
        lambda: draft_document(metadata, [], [Attachment("a", "a/b", FileDigest(-1, "00" * 32))], bytes(32)),
        lambda: draft_document(metadata, [], [Attachment("a", "a/b", FileDigest(1, "00" * 31))], bytes(32)),
        lambda: draft_document(metadata, [], [], bytes(31)),
        lambda: draft_document(metadata, [], [], bytes(32), holder_key=b"\1" * 64),
        lambda: draft_document(metadata, [], [], bytes(32), holder_key=b"\1"),
    ]
    for make in makers:
        with pytest.raises(InputError) as caught:
            make()
        assert caught.value.code == "DOCUMENT_MALFORMED"
    assert draft_document(metadata, [], [good], bytes(32)).core.fields == ()


def test_an_identifier_with_a_wrong_check_character_is_not_issued(world: Any) -> None:
    identifier = world.draft().core.identifier
    wrong = identifier[:-1] + ("0" if identifier[-1] != "0" else "1")
    with pytest.raises(InputError) as caught:
        world.draft(ZZBS=wrong)
    assert caught.value.code == "CHECK_CHARACTER_MISMATCH"


def test_white_space_and_order_of_members_carry_no_meaning(world: Any, document: CertificateDocument) -> None:
    content = json.loads(encode_file(document))
    turned = json.dumps(dict(reversed(content.items())), ensure_ascii=True, indent=4).encode()
    assert decode_document(turned) == document


def test_files_over_the_limit_or_with_names_twice_are_refused(document: CertificateDocument) -> None:
    raw = encode_file(document)
    for bad in (
        raw + b" " * documents.MAX_DOCUMENT_FILE_BYTES,
        raw.replace(b'"format"', b'"format":"govnode-certificate/1","format"', 1),
        raw.replace(b'"ZZMC"', b'"ZZMC":"x","ZZMC"', 1),
        raw.replace(b'"kind"', b'"kind":"issuer","kind"', 1),
        b"[" * 100_000,
        b"\xff\xfe{}",
        b"",
    ):
        with pytest.raises(InputError) as caught:
            decode_document(bad)
        assert caught.value.code == "DOCUMENT_MALFORMED"
        assert len(str(caught.value)) < 600


def test_an_issuer_that_commits_to_another_holder_is_found_out(world: Any) -> None:
    draft = world.draft()
    core = msgspec.structs.replace(draft.core, holder_commitment=world.draft(CZZT="李四").core.holder_commitment)
    sealed = world.seal(msgspec.structs.replace(draft, core=core))
    assert verify_document(encode_file(sealed), world.expect()).code == "HOLDER_CHANGED"


def test_equal_values_have_unlike_commitments(world: Any) -> None:
    # Whoever knows all possible values, and another document with each of them, still cannot tell which one is hidden.
    first, second = world.draft(), world.draft("20260000002")
    assert first.values == second.values
    commitments = {field.commitment for draft in (first, second) for field in draft.core.fields}
    assert len(commitments) == 2 * len(first.values)
    assert documents.SALT_BYTES >= 16


def test_the_example_of_the_specification_runs(world: Any) -> None:
    text = (Path(__file__).parents[3] / "docs" / "spec" / "certificate-document.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {
        "identifier": world.draft().core.identifier,
        "department_secret": bytes(32),
        "signer": world.issuer.signer,
        "chain": world.issuer.chain,
        "holder": world.holder,
        "roots": (world.root,),
        "now_ms": world.now_ms,
    }
    exec(example, names)
    verdict: Any = names["verdict"]
    assert verdict.is_accepted
    assert verdict.values == {"坐落": "示例路1号"}


def test_many_drafted_at_once_are_what_each_is_alone(world: Any) -> None:
    # More than the lanes need, of unlike lengths, with and without fields, files and a holder's key.
    many = []
    for number in range(130):
        identifier = make_identifier("11100000MB03271699001", world.issuer_code, f"2026{number:05}")
        metadata = {
            "ZZBS": identifier,
            "ZZMC": "证照",
            "ZZBFJG": "机构",
            "ZZBFRQ": "2026-07-01",
            "ZZYXQQSRQ": "2026-07-01",
        }
        if number % 3:
            metadata |= {"CZZT": "张" * (1 + number % 7), "CZZTDM": f"N{number}", "CZZTDMLXDM": "999"}
        fields = [(f"字段{place}", "值" * (1 + number)) for place in range(number % 4)]
        files = [Attachment("a.pdf", "application/pdf", file_digest(bytes(number)))] * (number % 2)
        key = world.holder.public_key if number % 5 == 0 else b""
        many.append(Particulars(metadata, fields, files, document_secret(b"\7" * 32, identifier), key))
    alone = [draft_document(*one[:4], holder_key=one.holder_key).content for one in many]
    assert draft_contents(many) == alone
    with pytest.raises(InputError, match="no name of the metadata"):
        draft_contents([*many, many[0]._replace(metadata={"x": ""})])
