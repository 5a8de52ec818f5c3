"""Status lists in the page that verifies in a browser, run in node: it says of every list what the node's own code says."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from contracts.anchors import anchor_key
from contracts.batches import BatchRecord, leaf_hash, load_batch
from contracts.certificate_records import CertificateContent, certificate_key
from contracts.certificate_types import type_key
from contracts.identifiers import make_identifier
from explorer.offline_page import verifier_script
from node.chain.codec import encode
from node.http.proof_file import encode_proof_file
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS, TYPE_CODE, HandMadeChain
from verification.batch_proof import BatchMember, encode_batch_proof
from verification.freshness import ListTrust, sign_status_list, with_status_list
from verification.proofs import verify_proof
from verification.status_list import (
    ListBlock,
    Scope,
    StatusList,
    StatusListFile,
    encode_status_list,
    entry_places,
    make_batch_list,
    make_hash_list,
)
from verification.trust import TrustFile, trust_of_genesis

NODE = shutil.which("node") or shutil.which("nodejs")
pytestmark = pytest.mark.skipif(
    NODE is None, reason="node is not installed: the page's script is not run outside a browser"
)

NOW_MS = START_MS + 86_400_000
SCOPE = Scope(TYPE_CODE, DEPARTMENT)
MALFORMED: tuple[dict[str, Any], ...] = (
    {"format": "x"},
    {"scope": f"{SCOPE.name}.1"},
    {"entries": 262_144},
    {"changed_count": 1},
    {"changed_count": 0},
    {"batch_count": 1},
    {"bits": "!"},
    {"bits": ""},
    {"more": 1},
)
"""Changes to a list of a type and issuer that make it none."""
DRIVER = """
(async () => {
  const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
  const answers = [];
  for (const { proof, list, trust, now } of cases) {
    const known = readTrust(bytes(trust));
    const found = withStatusList(verifyProof(bytes(proof), null, known, now), await readStatusList(bytes(list)), known, now);
    answers.push([found.isAccepted, found.code, found.brokenStep, found.steps.map((step) => [step.code, step.state, step.finding])]);
  }
  console.log(JSON.stringify(answers));
})();
"""


class Case(NamedTuple):
    """A proof and a list, and what is expected of them."""

    code: str
    proof: bytes
    listed: bytes


def in_node(cases: list[Case], trust: TrustFile, tmp_path: Path) -> list[Any]:
    assert NODE is not None
    script = tmp_path / "verifier.js"
    script.write_text(verifier_script() + DRIVER, "utf-8")
    encoded = [
        {
            "proof": base64.b64encode(case.proof).decode(),
            "list": base64.b64encode(case.listed).decode(),
            "trust": base64.b64encode(msgspec.json.encode(trust)).decode(),
            "now": NOW_MS,
        }
        for case in cases
    ]
    ran = subprocess.run(
        [NODE, str(script)], input=json.dumps(encoded), capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    answers: list[Any] = json.loads(ran.stdout)
    return answers


def here(case: Case, trust: TrustFile) -> Any:
    verdict = verify_proof(case.proof, None, trust, NOW_MS)
    found = with_status_list(verdict, case.listed, ListTrust(NOW_MS, trust.anchor, trust.roots()))
    steps = [[step.code, step.state, step.finding] for step in found.steps]
    return [found.is_accepted, found.code, found.broken_step, steps]


class Lists:
    """Lists of a chain, anchored by whoever is asked to."""

    def __init__(self, chain: HandMadeChain) -> None:
        self.chain = chain
        self.root = x509.issue_root("Demo City Root", now_ms=START_MS)
        department = x509.issue_department(self.root, DEPARTMENT, "示范局", now_ms=START_MS)
        key = PrivateKey.generate()
        self.signer = Signer(key)
        person = x509.issue_person(department, "签章人", key.public_key, now_ms=START_MS)
        self.person = (person, department.certificate)

    def block(self, **changes: Any) -> ListBlock:
        block = ListBlock(self.chain.height, sm3(self.chain.height.to_bytes(8)), self.chain.time_ms)
        return msgspec.structs.replace(block, **changes)

    def by_hash(self, changed: list[str], scope: Scope = SCOPE, **changes: Any) -> StatusList:
        block = self.block(**changes)
        return make_hash_list(self.chain.genesis.hash, scope, block, entry_places(block, changed))

    def anchored(self, content: StatusList, *, by: str = DEPARTMENT) -> StatusListFile:
        key = self.chain.clerk if by == DEPARTMENT else self.chain.consumer
        self.chain.call(key, "anchors", "anchor", digest=content.digest, label="status-list/1")
        return StatusListFile(content, (), (encode(self.chain.prove(anchor_key(content.digest, by))),))

    def sign(self, content: StatusList, **changes: Any) -> Any:
        return msgspec.structs.replace(self.sign_at(content, START_MS), **changes)

    def sign_at(self, content: StatusList, signed_ms: int) -> Any:
        return sign_status_list(content, DEPARTMENT, self.signer, self.person, signed_ms)


def reword(file: StatusListFile, **changes: Any) -> bytes:
    return json.dumps(json.loads(encode_status_list(file)) | changes).encode()


def issue_batch(chain: HandMadeChain) -> tuple[BatchRecord, bytes, bytes]:
    """Issue a batch of three; return its record, and the proof of the second of them without a record of its own and with one."""
    contents = [
        CertificateContent(
            make_identifier(TYPE_CODE, DEPARTMENT, f"3000{place}"), sm3(b"%d" % place), sm3(b"x"), 1, NOW_MS + 1
        )
        for place in range(3)
    ]
    leaves = [leaf_hash(content) for content in contents]
    chain.call(
        chain.clerk,
        "batches",
        "issue_batch",
        type_code=TYPE_CODE,
        first="30000",
        last="30002",
        count=3,
        root=merkle_root(leaves),
        manifest_digest=b"\1" * 32,
    )
    name = f"{SCOPE.name}.30000"
    record = load_batch(chain.state, name)
    assert record is not None
    member = BatchMember(contents[1], 1, tuple(merkle_path(leaves, 1)))
    proof = encode_batch_proof(chain.prove_member(name, member))
    chain.admit(name, member)
    return record, proof, encode_batch_proof(chain.prove_member(name, member))


def test_the_page_says_of_lists_what_the_nodes_code_says(chain: HandMadeChain, identifier: str, tmp_path: Path) -> None:
    lists, trust = Lists(chain), trust_of_genesis(chain.genesis)
    proof = encode_proof_file(chain.prove(certificate_key(identifier)))
    of_type = encode_proof_file(chain.prove(type_key(TYPE_CODE)))
    early = lists.anchored(lists.by_hash([], height=1))
    batch, member, admitted = issue_batch(chain)
    clear = lists.anchored(lists.by_hash([identifier_of(place) for place in range(30)]))
    content = clear.content
    genesis = chain.genesis.hash
    of_batch = {
        value: encode_status_list(lists.anchored(make_batch_list(genesis, batch, lists.block(), changed)))
        for value, changed in {0: [2 << 2 | 1], 1: [1 << 2 | 1], 2: [1 << 2 | 2]}.items()
    }
    signed = StatusListFile(content, (lists.sign(content),))
    cases = [
        Case("IN_FORCE", proof, encode_status_list(clear)),
        Case("IN_FORCE", member, encode_status_list(clear)),
        Case("IN_FORCE", proof, encode_status_list(early)),
        Case("ASK_ONLINE", proof, encode_status_list(lists.anchored(lists.by_hash([identifier])))),
        Case("IN_FORCE", member, of_batch[0]),
        Case("SUSPENDED", member, of_batch[1]),
        Case("ENDED", member, of_batch[2]),
        Case("ENDED", admitted, of_batch[2]),
        Case("STATUS_LIST_NOT_ABOUT", admitted, of_batch[0]),
        Case("IN_FORCE", admitted, encode_status_list(clear)),
        Case("STATUS_LIST_NOT_ABOUT", proof, of_batch[1]),
        Case("STATUS_LIST_NOT_ABOUT", of_type, encode_status_list(clear)),
        Case(
            "STATUS_LIST_NOT_VOUCHED",
            proof,
            encode_status_list(lists.anchored(lists.by_hash([], height=chain.height), by=CONSUMER)),
        ),
        Case("STATUS_LIST_NOT_VOUCHED", proof, encode_status_list(StatusListFile(content))),
        Case("TRUST_MISSING", proof, encode_status_list(signed)),
        Case("IN_FORCE", proof, encode_status_list(msgspec.structs.replace(signed, anchors=clear.anchors))),
        Case(
            "SIGNATURE_INVALID",
            proof,
            encode_status_list(StatusListFile(content, (lists.sign(content, signed_ms=1),), clear.anchors)),
        ),
        Case(
            "SIGNED_BEFORE_BLOCK",
            proof,
            encode_status_list(StatusListFile(content, (lists.sign_at(content, START_MS - 600_000),), clear.anchors)),
        ),
        Case("SIGNED_IN_FUTURE", proof, encode_status_list(lists.anchored(lists.by_hash([], time_ms=NOW_MS * 2)))),
        Case("ANCHOR_INVALID", proof, encode_status_list(StatusListFile(early.content, (), clear.anchors))),
        Case("ANCHOR_INVALID", proof, encode_status_list(StatusListFile(content, (), (clear.anchors[0][:-1],)))),
        Case("STATUS_LIST_OF_ANOTHER_NETWORK", proof, reword(clear, genesis_hash="00" * 32)),
        *(
            Case("STATUS_LIST_MALFORMED", proof, reword(clear, **change))
            for change in (*MALFORMED, {"bits": json.loads(of_batch[0])["bits"]})
        ),
        Case("STATUS_LIST_MALFORMED", proof, b"{}"),
        Case("STATUS_LIST_MALFORMED", member, reword_batch(of_batch[1], 2)),
        Case("STATUS_LIST_MALFORMED", proof, encode_status_list(clear).replace(b'"scope"', b'"scope": "", "scope"')),
        Case("NOT_ON_LEDGER", encode_proof_file(chain.prove(certificate_key(identifier_of(1)))), b"{}"),
    ]
    expected = [here(case, trust) for case in cases]
    assert [found[1] for found in expected] == [case.code for case in cases]
    assert in_node(cases, trust, tmp_path) == expected


def test_a_list_that_is_only_signed_counts_under_the_trust_files_root(
    chain: HandMadeChain, identifier: str, tmp_path: Path
) -> None:
    lists, trust = Lists(chain), trust_of_genesis(chain.genesis)
    proof = encode_proof_file(chain.prove(certificate_key(identifier)))
    content = lists.by_hash([])
    signed = Case("IN_FORCE", proof, encode_status_list(StatusListFile(content, (lists.sign(content),))))
    for root, code in ((lists.root, "IN_FORCE"), (x509.issue_root("Another", now_ms=START_MS), "SIGNER_NOT_TRUSTED")):
        rooted = msgspec.structs.replace(trust, root_certificates=(root.certificate.der.hex(),))
        expected = here(signed, rooted)
        assert expected[1] == code
        assert in_node([signed], rooted, tmp_path) == [expected]


def identifier_of(serial: int) -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"{40_000_000_000 + serial}")


def reword_batch(listed: bytes, changed_count: int) -> bytes:
    return json.dumps(json.loads(listed) | {"changed_count": changed_count}).encode()
