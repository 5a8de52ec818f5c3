"""Forgeries of documents and presentations: metadata, fields, salts, attachments, copies, and what a seal says of a batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from contracts.batches import load_batch
from contracts.identifiers import make_identifier
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS, TYPE_CODE
from tests.verification.tampering.forged_world import (
    DAY_MS,
    DEED,
    PDF,
    ForgedWorld,
    Forgeries,
    at,
    edited,
    flip,
    make_office,
)
from verification.certificate_files.document import encode_file, seal_document
from verification.certificate_files.presentation import present
from verification.certificate_files.seals import sign_document
from verification.manifest import read_manifest

MALFORMED = "DOCUMENT_MALFORMED"


def document(w: ForgedWorld) -> Forgeries:
    """What always shows: metadata, the holder's commitment and key, the file's form."""
    raw, proof = w.files["single"], w.proofs["single"]

    def core(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(raw, "core", name, to=to))

    genuine = w.identifier("single")
    next_serial = make_identifier(TYPE_CODE, DEPARTMENT, "20260000099")
    wrong_check = genuine[:-1] + ("A" if genuine[-1] != "A" else "B")
    yield "type renamed", "DOCUMENT_CHANGED", core("ZZMC", "建筑许可证")
    yield "issuer renamed", "DOCUMENT_CHANGED", core("ZZBFJG", "省示范厅")
    yield "issued earlier", "DOCUMENT_CHANGED", core("ZZBFRQ", "2020-01-01")
    yield "valid from an earlier day", "DOCUMENT_CHANGED", core("ZZYXQQSRQ", "2020-01-01")
    yield "valid to a later day", "DOCUMENT_CHANGED", core("ZZYXQJZRQ", "2041-04-30")
    yield "valid without end", "DOCUMENT_CHANGED", core("ZZYXQJZRQ", "9999-12-31")
    yield "validity that ends before it begins", MALFORMED, core("ZZYXQJZRQ", "2020-01-01")
    yield "a day that no calendar has", MALFORMED, core("ZZYXQQSRQ", "2026-02-30")
    yield "another serial, with its right check character", "ANOTHER_CERTIFICATE", core("ZZBS", next_serial)
    yield "another check character", "CHECK_CHARACTER_MISMATCH", core("ZZBS", wrong_check)
    yield "another type code than the identifier's", MALFORMED, core("ZZLXDM", "11100000MB03271699002")
    yield "another issuer code than the identifier's", MALFORMED, core("ZZBFJGDM", CONSUMER)
    yield "a predecessor that it never had", "DOCUMENT_CHANGED", core("associatedZzeCertID", w.identifier("other"))
    yield (
        "another holder's commitment",
        "DOCUMENT_CHANGED",
        core("holder_commitment", at(w.files["other"], "core", "holder_commitment")),
    )
    yield (
        "the thief's key as the holder's",
        "DOCUMENT_CHANGED",
        lambda: w.verify(
            w.proofs["bound"], edited(w.files["bound"], "core", "holder_key", to=w.thief.public_key.hex())
        ),
    )
    yield (
        "the holder's key taken out",
        "DOCUMENT_CHANGED",
        lambda: w.verify(w.proofs["bound"], edited(w.files["bound"], "core", "holder_key", to="")),
    )
    yield "another certificate's whole document", "ANOTHER_CERTIFICATE", lambda: w.verify(proof, w.files["other"])
    yield (
        "a member that stands twice",
        MALFORMED,
        lambda: w.verify(proof, raw.replace(b'"ZZMC":', '"ZZMC": "不动产权证书", "ZZMC":'.encode(), 1)),
    )
    yield "a member more", MALFORMED, lambda: w.verify(proof, edited(raw, "core", "note", to="有效"))
    yield (
        "a member less",
        MALFORMED,
        lambda: w.verify(
            proof, edited(raw, "core", to=lambda core: {name: core[name] for name in core if name != "ZZBFRQ"})
        ),
    )
    yield "a scan in the place of the document", "DOCUMENT_CHANGED", lambda: w.verify(proof, PDF)
    yield (
        "valid to a later day, without the ledger",
        "SIGNATURE_INVALID",
        lambda: w.verify_alone(edited(raw, "core", "ZZYXQJZRQ", to="2041-04-30")),
    )
    yield (
        "another version of the identifier",
        "ANOTHER_CERTIFICATE",
        core("ZZBS", make_identifier(TYPE_CODE, DEPARTMENT, "20260000002", "002")),
    )


def document_fields(w: ForgedWorld) -> Forgeries:
    """Values of a document's fields."""
    raw, proof = w.files["single"], w.proofs["single"]
    names = [field["name"] for field in at(raw, "core", "fields")]
    place = {name: position for position, name in enumerate(names)}

    def value(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(raw, "values", place[name], to=to))

    yield "another number", "FIELD_CHANGED", value("ZZBH", "示(2026)第999号")
    yield "another holder's name", "FIELD_CHANGED", value("CZZT", "李四")
    yield "another holder's code", "FIELD_CHANGED", value("CZZTDM", "990101199001019999")
    yield "a larger area", "FIELD_CHANGED", value("面积", "198.5")
    yield "digits that only look the same", "FIELD_CHANGED", value("面积", "９8.5")
    yield "a space more in a value", "FIELD_CHANGED", value("坐落", "示例路 02号")
    yield (
        "two values exchanged",
        "FIELD_CHANGED",
        lambda: w.verify(proof, edited(raw, "values", to=lambda values: [*values[:-2], values[-1], values[-2]])),
    )
    yield "a value left out", MALFORMED, lambda: w.verify(proof, edited(raw, "values", to=lambda values: values[:-1]))
    yield "a value emptied", MALFORMED, value("用途", "")


def presented_fields(w: ForgedWorld) -> Forgeries:
    """Values and names of fields in presentations, which hide some."""
    shown, proof = w.shown_file, w.proofs["single"]
    names = [field["name"] for field in at(shown, "core", "fields")]
    place = {name: position for position, name in enumerate(names)}

    def in_shown(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(shown, *path, to=to))

    def with_open(field: dict[str, Any]) -> Callable[[], Any]:
        return in_shown("fields", to=lambda open_: sorted([*open_, field], key=lambda one: one["position"]))

    yield "a shown value changed", "FIELD_CHANGED", in_shown("fields", 0, "value", to="示例路1号")
    yield "a shown value put under another field", "FIELD_CHANGED", in_shown("fields", 1, "position", to=place["用途"])
    yield (
        "a hidden value made up",
        "FIELD_CHANGED",
        with_open({"position": place["用途"], "value": "商业", "salt": "00" * 16}),
    )
    yield (
        "a hidden value guessed right, its salt made up",
        "FIELD_CHANGED",
        with_open({"position": place["用途"], "value": "住宅", "salt": "00" * 16}),
    )
    yield (
        "one field shown twice with two values",
        MALFORMED,
        in_shown("fields", to=lambda open_: [open_[0], open_[0] | {"value": "x"}]),
    )
    yield "a hidden field dropped", "DOCUMENT_CHANGED", in_shown("core", "fields", to=lambda fields: fields[:-1])
    yield "a hidden field renamed", "DOCUMENT_CHANGED", in_shown("core", "fields", place["用途"], "name", to="抵押")
    yield (
        "fields put in another order",
        "DOCUMENT_CHANGED",
        in_shown("core", "fields", to=lambda fields: [*fields[:-2], fields[-1], fields[-2]]),
    )
    yield (
        "a field that was never issued",
        "DOCUMENT_CHANGED",
        in_shown("core", "fields", to=lambda fields: [*fields, {"name": "抵押", "commitment": "11" * 32}]),
    )
    yield (
        "a commitment of the forger's own",
        "DOCUMENT_CHANGED",
        in_shown("core", "fields", place["面积"], "commitment", to=flip),
    )
    yield (
        "another certificate's field with its salt",
        "FIELD_CHANGED",
        in_shown(
            "fields", 0, to=lambda one: json.loads(encode_file(present(w.documents["other"], ["坐落"])))["fields"][0]
        ),
    )
    yield "a position past the last field", MALFORMED, in_shown("fields", 1, "position", to=len(names))
    yield (
        "a shown field taken out after the holder signed",
        "HOLDER_SIGNATURE_INVALID",
        lambda: w.verify(w.proofs["bound"], edited(w.bound_file, "fields", to=[])),
    )


def salt(w: ForgedWorld) -> Forgeries:
    """Salts of values and files, and the secret that they derive from."""
    raw, shown, proof = w.files["single"], w.shown_file, w.proofs["single"]
    others = json.loads(encode_file(present(w.documents["other"], ["坐落", "面积"], [DEED])))

    def in_shown(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(shown, *path, to=to))

    def secret(to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(raw, "secret", to=to))

    yield "one bit of the first field's salt", "FIELD_CHANGED", in_shown("fields", 0, "salt", to=flip)
    yield "one bit of the second field's salt", "FIELD_CHANGED", in_shown("fields", 1, "salt", to=flip)
    yield (
        "salts of two fields exchanged",
        "FIELD_CHANGED",
        in_shown(
            "fields", to=lambda open_: [open_[0] | {"salt": open_[1]["salt"]}, open_[1] | {"salt": open_[0]["salt"]}]
        ),
    )
    yield (
        "the same field's salt of another certificate",
        "FIELD_CHANGED",
        in_shown("fields", 0, "salt", to=others["fields"][0]["salt"]),
    )
    yield "a salt of zeros", "FIELD_CHANGED", in_shown("fields", 0, "salt", to="00" * 16)
    yield "half a salt", MALFORMED, in_shown("fields", 0, "salt", to=lambda text: text[:16])
    yield "a salt with more behind it", MALFORMED, in_shown("fields", 0, "salt", to=lambda text: text + "00")
    yield "a salt in capitals", MALFORMED, in_shown("fields", 0, "salt", to="AB" * 16)
    yield "no salt", MALFORMED, in_shown("fields", 0, to=lambda one: {"position": one["position"], "value": "x"})
    yield "one bit of the attachment's salt", "ATTACHMENT_CHANGED", in_shown("attachments", 0, "salt", to=flip)
    yield (
        "the same attachment's salt of another certificate",
        "ATTACHMENT_CHANGED",
        in_shown("attachments", 0, "salt", to=others["attachments"][0]["salt"]),
    )
    yield "one bit of the document's secret", "SALT_WRONG", secret(flip)
    yield "another document's secret", "SALT_WRONG", secret(at(w.files["other"], "secret"))
    yield "a secret of zeros", "SALT_WRONG", secret("00" * 32)
    yield "half a secret", MALFORMED, secret(lambda text: text[:32])


def seal_path(w: ForgedWorld) -> Forgeries:
    """The way from a document of a batch to the root that the issuer signed."""
    raw = w.member_file
    neighbour = at(encode_file(w.members[3]), "seal", "path")

    def path(to: Any) -> Callable[[], Any]:
        return lambda: w.verify(w.member_proof, edited(raw, "seal", "path", to=to))

    length = len(at(raw, "seal", "path"))
    for place in range(length):
        yield (
            f"sibling {place} changed",
            "NOT_IN_BATCH",
            path(lambda path, place=place: [flip(one) if at_ == place else one for at_, one in enumerate(path)]),
        )
    yield "siblings in another order", "NOT_IN_BATCH", path(lambda path: path[::-1])
    yield "the last sibling left out", "NOT_IN_BATCH", path(lambda path: path[:-1])
    yield "the first sibling left out", "NOT_IN_BATCH", path(lambda path: path[1:])
    yield "a sibling more", "NOT_IN_BATCH", path(lambda path: [*path, "00" * 32])
    yield "a sibling twice", "NOT_IN_BATCH", path(lambda path: [path[0], *path])
    yield "the neighbour's path", "NOT_IN_BATCH", path(neighbour)
    yield "no path", "NOT_IN_BATCH", path([])
    yield "a sibling too short", MALFORMED, path(lambda path: [path[0][:62], *path[1:]])
    yield "more siblings than any tree has", MALFORMED, path(lambda path: path * 40)
    yield "the root itself as the path", "NOT_IN_BATCH", path([at(raw, "seal", "root")])
    yield (
        "a sibling changed, without the ledger",
        "NOT_IN_BATCH",
        lambda: w.verify_alone(edited(raw, "seal", "path", 0, to=flip)),
    )


def position(w: ForgedWorld) -> Forgeries:
    """Where a document says that it stands among those of its batch."""
    raw = w.member_file

    def seal(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(w.member_proof, edited(raw, "seal", name, to=to))

    yield "one place further", "NOT_IN_BATCH", seal("position", 3)
    yield "one place before", "NOT_IN_BATCH", seal("position", 1)
    yield "the first place", "NOT_IN_BATCH", seal("position", 0)
    yield "the last place", "NOT_IN_BATCH", seal("position", 4)
    yield "a place past the batch", "NOT_IN_BATCH", seal("position", 5)
    yield "a place far past any batch", "NOT_IN_BATCH", seal("position", 2**32 - 1)
    yield "a place below the first", MALFORMED, seal("position", -1)
    yield "a place beyond the format", MALFORMED, seal("position", 2**32)
    yield "a place that is no number", MALFORMED, seal("position", "2")
    yield "a place that is half a number", MALFORMED, seal("position", 2.5)
    yield "a place that is a truth value", MALFORMED, seal("position", True)
    yield (
        "the neighbour's place and path",
        "NOT_IN_BATCH",
        lambda: w.verify(
            w.member_proof,
            edited(
                raw, "seal", to=lambda own: own | {"position": 3, "path": at(encode_file(w.members[3]), "seal", "path")}
            ),
        ),
    )
    yield (
        "the place of another batch's document",
        "ANOTHER_BATCH",
        lambda: w.verify(w.member_proof, edited(raw, "seal", to=at(encode_file(w.other_members[2]), "seal"))),
    )


def manifest(w: ForgedWorld) -> Forgeries:
    """What a batch is: its name, number of certificates, root and manifest, and forged batches as a whole."""
    raw = w.member_file
    other = encode_file(w.other_members[2])

    def seal(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(w.member_proof, edited(raw, "seal", name, to=to))

    yield "another manifest digest", "SIGNATURE_INVALID", seal("manifest_digest", flip)
    yield "a manifest digest of zeros", "SIGNATURE_INVALID", seal("manifest_digest", "00" * 32)
    yield "no manifest digest", MALFORMED, seal("manifest_digest", "")
    yield "another root", "ANOTHER_BATCH", seal("root", flip)
    yield "another batch's root", "ANOTHER_BATCH", seal("root", at(other, "seal", "root"))
    yield (
        "another root, without the ledger",
        "NOT_IN_BATCH",
        lambda: w.verify_alone(edited(raw, "seal", "root", to=flip)),
    )
    yield "a certificate more in the count", "SIGNATURE_INVALID", seal("count", 6)
    yield "a certificate less in the count", "NOT_IN_BATCH", seal("count", 3)
    yield "a batch of none", MALFORMED, seal("count", 0)
    yield "another batch's name", "NOT_IN_BATCH", seal("batch", at(other, "seal", "batch"))
    yield "another type's batch", "NOT_IN_BATCH", seal("batch", f"11100000MB03271699002.{DEPARTMENT}.20270000000")
    yield "another issuer's batch", "NOT_IN_BATCH", seal("batch", f"{TYPE_CODE}.{CONSUMER}.20270000000")
    yield "an earlier first serial", "SIGNATURE_INVALID", seal("batch", f"{TYPE_CODE}.{DEPARTMENT}.20260000000")
    yield "another time of signing", "SIGNATURE_INVALID", seal("signed_ms", START_MS - 1)
    yield (
        "a certificate put into the manifest after it was issued",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(
            w.member_proof, encode_file(w.seal_batch([*w.batch_drafts, w.draft("20270000009", holder="李四")])[5])
        ),
    )
    yield (
        "a batch signed anew with one holder exchanged",
        "DOCUMENT_CHANGED",
        lambda: w.verify(w.member_proof, encode_file(_reissued(w)[2])),
    )
    yield (
        "the same, against the root on the ledger only",
        "ANOTHER_BATCH",
        lambda: w.verify_alone(encode_file(_reissued(w)[2]), ledger_root=bytes.fromhex(at(raw, "seal", "root"))),
    )
    yield (
        "a batch of an impostor's",
        "SIGNER_NOT_TRUSTED",
        lambda: w.verify(w.member_proof, encode_file(w.seal_batch(w.batch_drafts, w.impostor)[2])),
    )
    yield (
        "the single seal of a certificate of a batch",
        "ANOTHER_BATCH",
        lambda: w.verify(w.member_proof, encode_file(w.seal(w.batch_drafts[2]))),
    )


def manifest_copies(w: ForgedWorld) -> Forgeries:
    """Copies of a batch's manifest that somebody else keeps, read against the batch's record."""
    batch = load_batch(w.chain.state, w.batch)
    assert batch is not None
    entries = [msgspec.msgpack.encode(draft.content) for draft in w.batch_drafts]
    forged = msgspec.structs.replace(w.batch_drafts[2].content, document_digest=sm3(b"forged"))

    def read(*changed: bytes) -> Callable[[], Any]:
        return lambda: read_manifest([b"".join(changed)], batch)

    yield (
        "a copy with one document exchanged",
        "MANIFEST_DIFFERS",
        read(*entries[:2], msgspec.msgpack.encode(forged), *entries[3:]),
    )
    yield "a copy with a certificate left out", "MANIFEST_DIFFERS", read(*entries[:4])
    yield (
        "a copy with a certificate put in",
        "MANIFEST_DIFFERS",
        read(*entries, msgspec.msgpack.encode(w.draft("20270000009").content)),
    )
    yield "a copy in another order", "MANIFEST_MALFORMED", read(entries[1], entries[0], *entries[2:])
    yield "a copy with a certificate twice", "MANIFEST_MALFORMED", read(entries[0], *entries)
    yield "a copy cut off", "MANIFEST_MALFORMED", read(*entries[:4], entries[4][:-1])


def _reissued(w: ForgedWorld) -> list[Any]:
    drafts = [*w.batch_drafts[:2], w.draft("20270000002", holder="李四"), *w.batch_drafts[3:]]
    return w.seal_batch(drafts)


def seals(w: ForgedWorld) -> Forgeries:
    """The issuer's signature, who made it, and when."""
    raw, proof, draft = w.files["single"], w.proofs["single"], w.drafts["single"]

    def seal(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(proof, edited(raw, "seal", name, to=to))

    def sealed_by(office: Any, signed_ms: int = START_MS) -> Callable[[], Any]:
        return lambda: w.verify(proof, encode_file(w.seal(draft, office, signed_ms)))

    other_root = make_office(x509.issue_root("Another Root", now_ms=START_MS - DAY_MS), DEPARTMENT, "示范局")
    node_key = PrivateKey.generate()
    node = x509.issue_node(w.issuer.authority, "node1", node_key.public_key, now_ms=START_MS - DAY_MS)
    by_node = sign_document(draft.digest, Signer(node_key), (node, w.issuer.authority.certificate), START_MS)

    yield "one bit of the signature", "SIGNATURE_INVALID", seal("signature", flip)
    yield "a signature of zeros", "SIGNATURE_INVALID", seal("signature", "00" * 64)
    yield "a signature of the largest numbers", "SIGNATURE_INVALID", seal("signature", "ff" * 64)
    yield "r and s exchanged", "SIGNATURE_INVALID", seal("signature", lambda text: text[64:] + text[:64])
    yield "half a signature", MALFORMED, seal("signature", lambda text: text[:64])
    yield (
        "another document's signature",
        "SIGNATURE_INVALID",
        seal("signature", at(w.files["other"], "seal", "signature")),
    )
    yield (
        "another document's whole seal",
        "SIGNATURE_INVALID",
        lambda: w.verify(proof, edited(raw, "seal", to=at(w.files["other"], "seal"))),
    )
    yield "a batch's seal", "NOT_IN_BATCH", lambda: w.verify(proof, edited(raw, "seal", to=at(w.member_file, "seal")))
    yield "an earlier time of signing", "SIGNATURE_INVALID", seal("signed_ms", START_MS - 1)
    yield "signed in the future", "SIGNED_IN_FUTURE", sealed_by(None, w.now_ms + DAY_MS)
    yield (
        "the colleague's certificate with this signature",
        "SIGNATURE_INVALID",
        seal("chain", at(w.copy_file, "chain")),
    )
    yield "signed by another department", "SIGNER_NOT_OF_DEPARTMENT", sealed_by(w.copier)
    yield "signed under a root of the same name", "SIGNER_NOT_TRUSTED", sealed_by(w.impostor)
    yield "signed under another root", "SIGNER_NOT_TRUSTED", sealed_by(other_root)
    yield "signed before the certificate began", "SIGNER_NOT_TRUSTED", sealed_by(None, START_MS - 30 * DAY_MS)
    yield (
        "signed with a node's key",
        "SIGNER_NOT_OF_DEPARTMENT",
        lambda: w.verify(proof, encode_file(seal_document(draft, by_node))),
    )
    yield "the department's certificate left out", MALFORMED, seal("chain", lambda chain: chain[:1])
    yield (
        "another department's certificate above the signer",
        "SIGNER_NOT_TRUSTED",
        seal("chain", lambda chain: [chain[0], at(w.copy_file, "chain")[1]]),
    )
    yield (
        "a certificate whose own signature was changed",
        "SIGNER_NOT_TRUSTED",
        seal("chain", lambda chain: [flip(chain[0]), chain[1]]),
    )
    yield "certificates in another order", "SIGNATURE_INVALID", seal("chain", lambda chain: chain[::-1])
    yield "a seal of a kind that there is not", MALFORMED, seal("kind", "notary")
