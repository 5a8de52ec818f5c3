"""The page that verifies in a browser, run in node: it says of every proof and file what the node's own code says."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.anchors import ANCHORS
from contracts.certificate_records import CERTIFICATES, certificate_key
from contracts.certificate_types import TYPES
from node.http.proof_file import encode_proof_file
from sdk.trust import load_trust, save_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.verification.page_in_node import NEEDS_NODE, Case, differences, expect, run_page
from verification.batch_proof import encode_batch_proof
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import core_digest, encode_file, seal_document
from verification.certificate_files.presentation import bind_presentation, present
from verification.certificate_files.seals import sign_batch, sign_document
from verification.proofs import GivenDocument, verify_proof

pytestmark = NEEDS_NODE

DAY_MS = 86_400_000
DOCUMENT = "%PDF-1.4 样本 sample".encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of everything that is no list or object in JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
        return
    for name, item in items:
        yield from places(item, (*path, name))


def tampered(raw: bytes, source: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield files with one value changed each, at places spread over the whole file.

    Certificates' bytes stay: without roots nothing depends on most of them, and what cannot be parsed differs between parsers.
    """
    found = [place for place in places(json.loads(raw)) if "chain" not in place]
    for place in source.sample(found, min(count, len(found))):
        content = json.loads(raw)
        holder = content
        for name in place[:-1]:
            holder = holder[name]
        old = holder[place[-1]]
        if isinstance(old, str) and old:
            at = source.randrange(len(old))
            new: Any = old[:at] + ("0" if old[at] != "0" else "1") + old[at + 1 :]
        else:
            new = source.choice([old + 1, old - 1, None]) if isinstance(old, int) else "x"
        holder[place[-1]] = new
        yield f"{place}: {str(old)[:30]!r} -> {str(new)[:30]!r}", json.dumps(content, ensure_ascii=False).encode()


def reshaped(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield files whose form is wrong, in the ways that two readers of JSON could take differently."""
    text = raw.decode()
    yield "cut off", raw[:-20]
    yield "empty", b""
    yield "a list", b"[]"
    yield "a mark at its start", b"\xef\xbb\xbf" + raw
    yield "not UTF-8", raw.replace(b'"header"', b'"head\xff"', 1)
    yield "a name twice", text.replace('"version": 1,', '"version": 1, "version": 1,', 1).encode()
    yield "a member more", text.replace('"version": 1,', '"version": 1, "other": 1,', 1).encode()
    yield "a member less", text.replace('"version": 1,', "", 1).encode()
    yield "a number with a point", text.replace('"version": 1,', '"version": 1.5,', 1).encode()
    yield "capital digits", text.replace('"state_root": "', '"state_root": "A', 1).encode()
    yield "half of a pair", text.replace('"format": "', '"format": "\\ud800', 1).encode()
    yield "deep", b'{"format": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    yield "white space", text.replace(": ", " :\t").encode()


def reworded(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield proofs whose record is told in words that only some readers take for the same."""
    text = raw.decode()
    for name in ("page_count", "valid_to_ms"):
        found = re.search(rf'"{name}": ([0-9]+)', text)
        assert found is not None
        for form in (f"{found[1]}E+0", f"{found[1]}.0", "false"):
            yield f"{name} as {form}", text.replace(found[0], f'"{name}": {form}', 1).encode()


@pytest.fixture
def record_proofs(chain: Any, identifier: str, other_validators: Any) -> list[Case]:
    """Proofs of records of every sort and state, and of none."""
    chain.call(chain.clerk, "anchors", "anchor", digest=b"\7" * 32, label="样本")
    key = certificate_key(identifier)
    anchored = next(found for found in chain.state if found.startswith(ANCHORS.prefix))
    typed = next(found for found in chain.state if found.startswith(TYPES.prefix))
    cases = [
        Case("certificate", encode_proof_file(chain.prove(key))),
        Case("certificate with its document", encode_proof_file(chain.prove(key)), DOCUMENT),
        Case("certificate with another document", encode_proof_file(chain.prove(key)), b"{}"),
        Case("no certificate", encode_proof_file(chain.prove(CERTIFICATES.key(b"none")))),
        Case("no certificate, with a document", encode_proof_file(chain.prove(CERTIFICATES.key(b"none"))), b"x"),
        Case("anchor", encode_proof_file(chain.prove(anchored))),
        Case("anchor with another document", encode_proof_file(chain.prove(anchored)), b"x"),
        Case("type", encode_proof_file(chain.prove(typed))),
        Case("a key of no known kind", encode_proof_file(chain.prove(b"\1" * 30))),
    ]
    change = chain.change_validators(other_validators)
    chain.height += 1
    after = chain.prove(key, other_validators)
    cases.append(Case("walk", encode_proof_file(msgspec.structs.replace(after, walk=(change,)))))
    cases.append(Case("walk left out", encode_proof_file(after)))
    for method, more in (
        ("suspend", {"reason": "权属争议"}),
        ("resume", {"reason": "已解决"}),
        ("revoke", {"status": "03", "reason": "登记错误"}),
    ):
        chain.call(chain.clerk, "certificates", method, identifier=identifier, **more)
        cases.append(Case(method, encode_proof_file(chain.prove(key))))
    return cases


def test_the_page_says_of_every_record_proof_what_the_node_says(
    record_proofs: list[Case], chain: Any, trust_path: Path, tmp_path: Path
) -> None:
    source = random.Random(36_904)
    cases = list(record_proofs)
    whole, walk = record_proofs[0].proof, record_proofs[9].proof
    cases += [Case(name, raw) for name, raw in tampered(whole, source, 60)]
    cases += [Case(f"walk {name}", raw) for name, raw in tampered(walk, source, 25)]
    cases += [Case(name, raw) for name, raw in reshaped(whole)]
    cases += [Case(name, raw) for name, raw in reworded(whole)]
    now_ms = chain.time_ms + 3 * DAY_MS
    assert differences(cases, trust_path, now_ms, tmp_path) == []
    late = chain.time_ms + 400 * DAY_MS
    assert differences(cases[:1], trust_path, late, tmp_path) == [], "a certificate that has lapsed since"
    behind = chain.time_ms - 365 * DAY_MS
    assert differences([*record_proofs[:3], record_proofs[-1]], trust_path, behind, tmp_path) == [], "a clock behind"
    assert expect(cases[0], load_trust(trust_path), behind)["code"] == "CLOCK_BEHIND"


@pytest.fixture
def batch_files(chain: Any, world: Any) -> Callable[[], list[Case]]:
    """Proofs of a batch's certificate before and after it has a record, with its files."""

    def make() -> list[Case]:
        serials = [f"2026{number:08}" for number in range(5)]
        drafts = [world.draft(one, holder_key=False, ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01") for one in serials]
        name, members = chain.issue_batch([draft.content for draft in drafts])
        member, proof = members[2], chain.prove_member(name, members[2])
        fields = json.loads(encode_batch_proof(proof))["batch_record"]["fields"]
        root, manifest = bytes.fromhex(fields["root"]), bytes.fromhex(fields["manifest_digest"])
        signature = sign_batch(name, 5, root, manifest, world.issuer.signer, world.issuer.chain, world.now_ms)
        document = seal_document(drafts[2], signature.seal(member.position, member.path))
        raw = encode_batch_proof(proof)
        moved = msgspec.structs.replace(document.seal, position=3)
        cases = [
            Case("member", raw),
            Case("member with its document", raw, encode_file(document)),
            Case("member with a presentation", raw, encode_file(present(document, ["面积"]))),
            Case("document moved", raw, encode_file(msgspec.structs.replace(document, seal=moved))),
            Case("another member's place", encode_batch_proof(msgspec.structs.replace(proof, member=members[1]))),
        ]
        chain.admit(name, member)
        cases.append(Case("admitted", encode_batch_proof(chain.prove_member(name, member))))
        chain.call(chain.clerk, "certificates", "suspend", identifier=member.content.identifier, reason="核查")
        cases.append(Case("suspended", encode_batch_proof(chain.prove_member(name, member))))
        return cases

    return make


def test_the_page_says_of_a_batchs_certificate_what_the_node_says(
    batch_files: Callable[[], list[Case]], world: Any, trust_path: Path, tmp_path: Path
) -> None:
    source = random.Random(36_903)
    cases = batch_files()
    cases += [Case(name, raw) for name, raw in tampered(cases[0].proof, source, 60)]
    cases += [Case(f"admitted {name}", raw) for name, raw in tampered(cases[5].proof, source, 15)]
    cases += [Case(name, raw) for name, raw in reshaped(cases[0].proof)]
    content = json.loads(cases[0].proof)
    turned = Case("its names the other way round", json.dumps(dict(reversed(content.items())), indent=1).encode())
    assert turned.proof.index(b'"format"') > 4_096
    assert expect(turned, load_trust(trust_path), world.now_ms + 1_000)["isAccepted"]
    assert differences([*cases, turned], trust_path, world.now_ms + 1_000, tmp_path) == []


def test_the_page_never_takes_a_certificates_file_by_its_sm3(
    world: Any, chain: Any, trust_path: Path, tmp_path: Path
) -> None:
    forged = encode_file(world.seal(world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")))
    chain.call(chain.clerk, "anchors", "anchor", digest=sm3(forged), label="样本")
    anchored = next(found for found in chain.state if found.startswith(ANCHORS.prefix))
    other = world.draft("20260000999", ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01").content
    recorded = msgspec.structs.asdict(other) | {"document_digest": sm3(forged)}
    chain.call(chain.clerk, "certificates", "issue", **recorded)
    cases = [
        Case("anchored", encode_proof_file(chain.prove(anchored)), forged),
        Case(
            "recorded as another's document", encode_proof_file(chain.prove(certificate_key(other.identifier))), forged
        ),
    ]
    trust, now_ms = load_trust(trust_path), chain.time_ms + 1_000
    assert [expect(case, trust, now_ms)["code"] for case in cases] == ["WRONG_PROOF", "ANOTHER_CERTIFICATE"]
    assert differences(cases, trust_path, now_ms, tmp_path) == []


def test_the_page_says_of_every_certificate_file_what_the_node_says(
    world: Any, chain: Any, trust_path: Path, tmp_path: Path
) -> None:
    source = random.Random(36_905)
    draft = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")
    document = world.seal(draft)
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(draft.content))
    proof = encode_proof_file(chain.prove(certificate_key(draft.content.identifier)))
    shown = present(document, ["面积", "CZZT"], ["产权证.pdf"])
    bound = bind_presentation(shown, world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + DAY_MS)
    expired = bind_presentation(shown, world.holder, "示例银行", "抵押", world.now_ms - DAY_MS, world.now_ms)
    ahead = bind_presentation(shown, world.holder, "示例银行", "抵押", world.now_ms + DAY_MS, world.now_ms + 2 * DAY_MS)
    copy = make_annotated_copy(
        present(document, ["面积"]),
        world.copier.signer,
        world.copier.chain,
        reason="存档",
        recipient="示例银行",
        made_ms=world.now_ms,
        expires_ms=world.now_ms + DAY_MS,
    )
    files = {"document": encode_file(document), "presentation": encode_file(bound), "copy": encode_file(copy)}
    cases = [Case(name, proof, raw) for name, raw in files.items()]
    cases += [
        Case("unbound", proof, encode_file(shown)),
        Case("expired", proof, encode_file(expired)),
        Case("made in the future", proof, encode_file(ahead)),
        Case("for this bank", proof, files["presentation"], "示例银行"),
        Case("for another bank", proof, files["presentation"], "别家"),
    ]
    other = msgspec.structs.replace(document.seal, chain=tuple(one.der.hex() for one in world.copier.chain))
    torn = msgspec.structs.replace(document.seal, chain=(document.seal.chain[0][:-2], document.seal.chain[1]))
    swapped = msgspec.structs.replace(document.seal, chain=(document.seal.chain[0], world.copier.chain[1].der.hex()))
    for name, seal in (("another's chain", other), ("a torn chain", torn), ("another department's chain", swapped)):
        cases.append(Case(name, proof, encode_file(msgspec.structs.replace(document, seal=seal))))
    for name, count in (("document", 35), ("presentation", 30), ("copy", 15)):
        cases += [Case(f"{name} {what}", proof, raw) for what, raw in tampered(files[name], source, count)]
    cases += [Case(f"document {what}", proof, raw) for what, raw in reshaped(files["document"])]
    assert differences(cases, trust_path, world.now_ms + 1_000, tmp_path) == []


def resealed(document: Any, world: Any, signer: Any, chain: Any, signed_ms: int | None = None) -> bytes:
    """Return the document as somebody else would have sealed it, with a chain as given."""
    signed_ms = world.now_ms if signed_ms is None else signed_ms
    sealed = sign_document(core_digest(document.core), signer, chain, signed_ms)
    return encode_file(msgspec.structs.replace(document, seal=sealed))


@pytest.fixture
def rooted(world: Any, chain: Any, trust_path: Path) -> tuple[bytes, Any]:
    """The proof of a certificate and its document; the trust file names the network's root."""
    trust_path.write_text(
        json.dumps(json.loads(trust_path.read_bytes()) | {"root_certificates": [world.root.der.hex()]})
    )
    draft = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(draft.content))
    return encode_proof_file(chain.prove(certificate_key(draft.content.identifier))), world.seal(draft)


def test_the_page_follows_chains_to_the_trust_files_root_as_the_node_does(
    world: Any, rooted: tuple[bytes, Any], trust_path: Path, tmp_path: Path
) -> None:
    proof, document = rooted
    now_ms = world.now_ms
    signer, (person, department) = world.issuer.signer, world.issuer.chain
    authority = world.issuer.authority
    stranger = x509.issue_root("Another Root", now_ms=now_ms)
    imposter = x509.issue_department(stranger, world.issuer_code, "示例市自然资源局", now_ms=now_ms)
    of_imposter = x509.issue_person(imposter, "冒名者", signer.public_key, now_ms=now_ms)
    server = x509.issue_node(authority, "node1", signer.public_key, now_ms=now_ms)
    lapsed = x509.issue_person(authority, "张签章", signer.public_key, now_ms=now_ms - 4_000 * DAY_MS)
    copy = make_annotated_copy(
        present(document, ["面积"]),
        world.copier.signer,
        world.copier.chain,
        reason="存档",
        recipient="示例银行",
        made_ms=now_ms,
        expires_ms=now_ms + DAY_MS,
    )
    other_maker = msgspec.structs.replace(copy, annotation=msgspec.structs.replace(copy.annotation, maker="别的局"))
    torn = msgspec.structs.replace(document.seal, chain=(person.der.hex()[:-2], department.der.hex()))
    cases = [
        Case("as issued", proof, encode_file(document)),
        Case("with the root", proof, resealed(document, world, signer, (person, department, world.root))),
        Case("another root", proof, resealed(document, world, signer, (of_imposter, imposter.certificate))),
        Case(
            "another root, given",
            proof,
            resealed(document, world, signer, (of_imposter, imposter.certificate, stranger.certificate)),
        ),
        Case("a chain that does not fit", proof, resealed(document, world, signer, (of_imposter, department))),
        Case("a node's certificate", proof, resealed(document, world, signer, (server, department))),
        Case("a lapsed certificate", proof, resealed(document, world, signer, (lapsed, department))),
        Case(
            "before the certificate held",
            proof,
            resealed(document, world, signer, (person, department), now_ms - 400 * DAY_MS),
        ),
        Case("after it held", proof, resealed(document, world, signer, (person, department), now_ms + 4_000 * DAY_MS)),
        Case(
            "the department itself", proof, resealed(document, world, Signer(authority.key), (department, world.root))
        ),
        Case("a torn certificate", proof, encode_file(msgspec.structs.replace(document, seal=torn))),
        Case("a copy", proof, encode_file(copy)),
        Case("a copy for this bank", proof, encode_file(copy), "示例银行"),
        Case("a copy for another bank", proof, encode_file(copy), "别家"),
        Case("a copy in another's name", proof, encode_file(other_maker)),
    ]
    assert differences(cases, trust_path, now_ms + 1_000, tmp_path) == []


def test_what_the_node_refuses_for_its_chain_the_page_refuses_too(
    world: Any, rooted: tuple[bytes, Any], trust_path: Path, tmp_path: Path
) -> None:
    """Parsers name faults differently; none may take what the other refuses for its certificates."""
    proof, document = rooted
    source = random.Random(5_280)
    trust = load_trust(trust_path)
    cases = []
    for _ in range(40):
        place = source.randrange(2)
        ders = [bytearray.fromhex(der) for der in document.seal.chain]
        ders[place][source.randrange(len(ders[place]))] ^= 1 << source.randrange(8)
        seal = msgspec.structs.replace(document.seal, chain=tuple(der.hex() for der in ders))
        cases.append(encode_file(msgspec.structs.replace(document, seal=seal)))
    text = base64.b64encode(proof).decode()
    trust_text = base64.b64encode(trust_path.read_bytes()).decode()
    now_ms = world.now_ms + 1_000
    asked = [
        {
            "proof": text,
            "document": base64.b64encode(raw).decode(),
            "trust": trust_text,
            "now": now_ms,
            "recipient": None,
        }
        for raw in cases
    ]
    for raw, answer in zip(cases, run_page(asked, tmp_path), strict=True):
        verdict = verify_proof(proof, GivenDocument(raw), trust, now_ms)
        assert (answer["isAccepted"], verdict.is_accepted) == (False, False)
        assert answer["brokenStep"] == verdict.broken_step


CERTIFICATE_DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const read = (hex) => {
  try {
    const found = readCertificate(hex);
    const isAuthority = found.constraints?.isAuthority ?? false;
    return [found.name, found.organization, toHex(found.key), found.from, found.to, isAuthority, found.isServer];
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null;
    throw error;
  }
};
console.log(JSON.stringify(cases.map((hex) => ({ found: read(hex) }))));
"""


def test_the_page_reads_no_certificate_otherwise_than_the_node(world: Any, tmp_path: Path) -> None:
    """Without roots nothing but this stands between a signature and whose it is said to be."""
    source = random.Random(5_280)
    whole = [world.root.der, *(one.der for one in world.issuer.chain)]
    ders = list(whole)
    for _ in range(900):
        der = bytearray(source.choice(whole))
        der[source.randrange(len(der))] ^= 1 << source.randrange(8)
        ders.append(bytes(der))
    answers = [answer["found"] for answer in run_page([der.hex() for der in ders], tmp_path, CERTIFICATE_DRIVER)]
    assert None not in answers[: len(whole)]
    for der, answer in zip(ders, answers, strict=True):
        if answer is None:
            continue
        read = x509.parse_certificate(der)
        times = (read.not_before_ms, read.not_after_ms, read.is_authority, read.is_server)
        assert answer == [read.common_name, read.organization_identifier, read.public_key.hex(), *times], der.hex()


MERKLE_DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const run = ({ index, count, path }) => toHex(merklePathRoot(fromHex(path[0]), index, count, path.slice(1).map(fromHex)));
console.log(JSON.stringify(cases.map((one) => ({ root: run(one) }))));
"""


def test_the_pages_merkle_paths_lead_where_the_nodes_do(tmp_path: Path) -> None:
    hashes = [sm3(bytes([number])) for number in range(33)]
    cases = [(0, 1, 0), (4, 5, 1), (2, 5, 3), (2**31, 2**32, 32), (2**32 - 1, 2**32, 32), (2**32 - 2, 2**32 - 1, 31)]
    asked = [
        {"index": index, "count": count, "path": [one.hex() for one in hashes[: length + 1]]}
        for index, count, length in cases
    ]
    expected = [
        merkle_path_root(hashes[0], index, count, hashes[1 : length + 1]).hex() for index, count, length in cases
    ]
    assert [answer["root"] for answer in run_page(asked, tmp_path, MERKLE_DRIVER)] == expected


SM2_DRIVER = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const isValid = ({ key, message, signature }) => verifySm2(fromHex(key), fromHex(message), fromHex(signature));
console.log(JSON.stringify(cases.map((one) => ({ isValid: isValid(one) }))));
"""


def test_the_pages_sm2_takes_right_signatures_and_no_others(tmp_path: Path) -> None:
    order = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
    key, other = PrivateKey.generate(), PrivateKey.generate()
    message = b"\5" * 32
    signature = key.sign(message)
    r, s = signature[:32], signature[32:]
    wrong = {
        "message": (key.public_key, b"\6" * 32, signature),
        "key": (other.public_key, message, signature),
        "off the curve": (key.public_key[:-1] + bytes([key.public_key[-1] ^ 1]), message, signature),
        "r of zero": (key.public_key, message, bytes(32) + s),
        "s of zero": (key.public_key, message, r + bytes(32)),
        "s of the order": (key.public_key, message, r + order.to_bytes(32, "big")),
        "r + s of the order": (key.public_key, message, r + (order - int.from_bytes(r, "big")).to_bytes(32, "big")),
        "swapped": (key.public_key, message, s + r),
        "short": (key.public_key, message, signature[:-1]),
    }
    right = [(PrivateKey.generate(), bytes([number]) * 32) for number in range(10)]
    triples = [(one.public_key, text, one.sign(text)) for one, text in right] + list(wrong.values())
    cases = [{"key": a.hex(), "message": b.hex(), "signature": c.hex()} for a, b, c in triples]
    found = [answer["isValid"] for answer in run_page(cases, tmp_path, SM2_DRIVER)]
    assert found == [True] * len(right) + [False] * len(wrong)


def test_other_files_are_not_called_proofs_and_others_networks_are_named(
    chain: Any, identifier: str, trust_path: Path, tmp_path: Path
) -> None:
    raw = encode_proof_file(chain.prove(certificate_key(identifier)))
    others = (
        b"",
        b" \n",
        b"hello",
        b"%PDF-1.4",
        b"\x89PNG\xff",
        b"[]",
        b'{"format": "govnode-trust/1"}',
        b'{"format": 5}',
    )
    damaged = (b'{"format": "govnode-proof/2"}', raw[:-9], raw + b"x", b"\xff" + raw)
    cases = [Case(f"file {number}", file) for number, file in enumerate((*others, *damaged))]
    trust, now_ms = load_trust(trust_path), chain.time_ms + 1_000
    assert differences(cases, trust_path, now_ms, tmp_path) == []
    verdicts = [verify_proof(case.proof, None, trust, now_ms) for case in cases]
    assert [verdict.code for verdict in verdicts] == ["NOT_A_PROOF"] * len(others) + ["PROOF_BROKEN"] * len(damaged)
    assert "空文件" in verdicts[0].zh
    assert "PDF" in verdicts[3].zh
    assert "govnode-trust/1" in verdicts[6].zh
    elsewhere = tmp_path / "elsewhere.json"
    save_trust(elsewhere, msgspec.structs.replace(trust, network_name="邻省网络", next_validators_hash="0" * 64))
    assert differences([Case("another network's", raw)], elsewhere, now_ms, tmp_path) == []
    verdict = verify_proof(raw, None, load_trust(elsewhere), now_ms)
    assert (verdict.code, verdict.broken_step, verdict.is_accepted) == ("ANOTHER_NETWORK", "trust", False)
    assert "邻省网络" in verdict.zh
    assert "不成立" not in verdict.zh
