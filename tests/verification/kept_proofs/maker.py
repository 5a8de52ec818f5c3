"""Makes the proofs that a release leaves behind: `python -m tests.verification.kept_proofs.maker FOLDER`.

Run once, when a release is made, into a folder named after it. What is there is never made again: later releases must take it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from consensus.validators import Validator, ValidatorSet
from contracts.batches import batch_key, load_batch
from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier
from node.chain.proof import RecordProof
from node.chain.transaction import address_of
from node.http.proof_file import encode_proof_file
from sdk.trust import save_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import DEPARTMENT, TYPE_CODE, HandMadeChain, make_chain
from verification.batch_proof import BatchMember, encode_batch_proof
from verification.certificate_files.document import (
    Draft,
    document_secret,
    draft_document,
    encode_file,
    seal_document,
)
from verification.certificate_files.presentation import present
from verification.certificate_files.seals import sign_batch
from verification.trust import trust_of_genesis


def keep_proofs(folder: Path) -> None:
    """Write trust file, documents, proofs of every state of a certificate, and what each is to come to."""
    chain = make_chain(make_identifier(TYPE_CODE, DEPARTMENT, "20250000001"))
    root = x509.issue_root("Kept Root", now_ms=chain.time_ms)
    drafts = [_draft(f"2026{number:08}") for number in range(4)]
    batch, members = chain.issue_batch([draft.content for draft in drafts])
    trust = trust_of_genesis(chain.genesis)
    folder.mkdir(parents=True)
    save_trust(folder / "trust.json", msgspec.structs.replace(trust, root_certificates=(root.certificate.der.hex(),)))
    _keep_documents(folder, chain, root, batch, members[1], drafts[1])

    proofs: dict[str, tuple[bytes, str]] = {}
    single = certificate_key(make_identifier(TYPE_CODE, DEPARTMENT, "20250000001"))
    proofs["member-proof.json"] = (encode_batch_proof(chain.prove_member(batch, members[1])), "IN_FORCE")
    chain.admit(batch, members[2])
    _call(chain, "suspend", members[2].content.identifier)
    proofs["suspended-proof.json"] = (encode_batch_proof(chain.prove_member(batch, members[2])), "SUSPENDED")
    _call(chain, "resume", members[2].content.identifier)
    proofs["record-proof.json"] = (encode_proof_file(chain.prove(single)), "IN_FORCE")
    _call(chain, "revoke", members[2].content.identifier, status="03")
    proofs["revoked-proof.json"] = (encode_batch_proof(chain.prove_member(batch, members[2])), "ENDED")
    proofs["batch-proof.json"] = (encode_proof_file(chain.prove(batch_key(batch))), "RECORDED")
    absent = certificate_key(make_identifier(TYPE_CODE, DEPARTMENT, "20990000001"))
    proofs["absent-proof.json"] = (encode_proof_file(chain.prove(absent)), "NOT_ON_LEDGER")
    proofs["walked-proof.json"] = (encode_proof_file(_walked(chain, single)), "IN_FORCE")
    for name, (raw, _) in proofs.items():
        (folder / name).write_bytes(raw)
    expected = {
        name: {"code": code, "height": json.loads(raw)["header"]["height"]} for name, (raw, code) in proofs.items()
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")


def _draft(serial: str) -> Draft:
    identifier = make_identifier(TYPE_CODE, DEPARTMENT, serial)
    metadata = {
        "ZZBS": identifier,
        "ZZMC": "不动产权证书",
        "ZZBFJG": "示范局",
        "ZZBFRQ": "2026-05-01",
        "ZZYXQQSRQ": "2026-05-01",
        "CZZT": "张三",
        "CZZTDM": "990101199001011234",
        "CZZTDMLXDM": "111",
    }
    return draft_document(
        metadata, [("坐落", "示例路1号"), ("面积", "98.5")], [], document_secret(b"\7" * 32, identifier)
    )


def _keep_documents(
    folder: Path, chain: HandMadeChain, root: x509.Authority, batch: str, member: BatchMember, draft: Draft
) -> None:
    """Write a certificate's document and a presentation of it, sealed as of now."""
    department = x509.issue_department(root, DEPARTMENT, "示范局", now_ms=chain.time_ms)
    key = PrivateKey.generate()
    person = x509.issue_person(department, "签发人", key.public_key, now_ms=chain.time_ms)
    record = load_batch(chain.state, batch)
    assert record is not None
    chain_of_signer = (person, department.certificate)
    signature = sign_batch(
        batch, record.count, record.root, record.manifest_digest, Signer(key), chain_of_signer, chain.time_ms
    )
    document = seal_document(draft, signature.seal(member.position, member.path))
    (folder / "member.json").write_bytes(encode_file(document))
    (folder / "member.shown.json").write_bytes(encode_file(present(document, ["面积"])))


def _walked(chain: HandMadeChain, key: bytes) -> RecordProof:
    """Return a proof by validators that follow those of the genesis."""
    keys = [*chain.validator_keys[:3], PrivateKey.generate()]
    chain.validator_keys.append(keys[-1])
    following = ValidatorSet([Validator(address_of(one.public_key), one.public_key) for one in keys])
    change = chain.change_validators(following)
    chain.height += 1
    return msgspec.structs.replace(chain.prove(key, following), walk=(change,))


def _call(chain: HandMadeChain, method: str, identifier: str, **more: Any) -> None:
    chain.call(chain.clerk, "certificates", method, identifier=identifier, reason="样本", **more)


if __name__ == "__main__":
    keep_proofs(Path(sys.argv[1]))
