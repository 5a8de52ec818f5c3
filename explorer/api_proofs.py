"""REST: proofs that verify without any node, as the files that `govnode verify` reads; and anchors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.anchors import load_anchor
from contracts.batches import BATCHES, find_batch_name, load_batch
from contracts.certificate_records import CERTIFICATES
from contracts.data_sharing.audits import FINDINGS
from explorer import certificate_schemas, schemas
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, identifier_parameter, is_auditor, services_of
from node.chain.proof import RecordProof
from node.chain.world_state import MAX_STATE_KEY_BYTES
from node.http.json_form import to_json
from node.http.presentation import is_restricted_key
from node.http.proof_file import encode_proof_file
from node.ledger.ledger import HistoryNotHeld, UnknownHeight
from verification.batch_proof import encode_batch_proof, join_proofs
from verification.errors import InputError

AtHeight = Annotated[
    int | None,
    Query(ge=1, le=2**62, description="证明截至该高度，缺省为最新 / as of this height, the latest by default"),
]
FromHeight = Annotated[
    int,
    Query(ge=0, le=2**62, description="验证方所信任的检查点高度 / height of the checkpoint that the verifier trusts"),
]

ROUTER = APIRouter(prefix="/api/v1", tags=["证明与锚定 Proofs and anchors"])


@ROUTER.get(
    "/proofs/certificates/{identifier}",
    summary="证照的离线证明 / Proof of a certificate",
    response_model=schemas.ProofFile,
)
async def certificate_proof(
    request: Request, identifier: str, height: AtHeight = None, trusted_height: FromHeight = 0
) -> Response:
    """证明文件；账本上没有此标识时，给出不存在的证明。 / A proof file; a proof of absence where the ledger has no such identifier."""
    key = CERTIFICATES.key(identifier_parameter(identifier).text.encode())
    return _proof_response(_prove(services_of(request), key, height, trusted_height))


@ROUTER.get(
    "/proofs/members/{identifier}",
    summary="批次中一份证照的离线证明 / Proof of a certificate of a batch",
    response_model=certificate_schemas.BatchProofFile,
)
async def member_proof(
    request: Request, identifier: str, height: AtHeight = None, trusted_height: FromHeight = 0
) -> Response:
    """须本节点存有该批次的清单；否则由颁发机构或持证人制作。 / Where the manifest is here; else issuer or holder make it."""
    services = services_of(request)
    parsed = identifier_parameter(identifier)
    batch = load_batch(services.state(), find_batch_name(services.state(), parsed.text))
    listing = None if batch is None else services.manifests.find(batch, parsed.text)
    if batch is None or listing is None or listing.member is None:
        raise Problem("NOT_FOUND", found=identifier)
    height = services.view.ledger.height if height is None else height
    batch_proof = _prove(services, BATCHES.key(batch.name.encode()), height, trusted_height)
    own_proof = _prove(services, CERTIFICATES.key(parsed.text.encode()), height, trusted_height)
    try:
        raw = encode_batch_proof(join_proofs(listing.member, batch_proof, own_proof))
    except InputError as error:
        # At a height before the batch was issued.
        raise Problem("NOT_FOUND", reason=Text(error.zh, error.en), found=identifier) from None
    return Response(raw, media_type="application/json", headers={"cache-control": "no-store"})


@ROUTER.get(
    "/proofs/state/{key}", summary="任一状态键的离线证明 / Proof of a key in state", response_model=schemas.ProofFile
)
async def state_proof(
    request: Request,
    key: Annotated[str, Path(json_schema_extra=hex_schema(max_size=MAX_STATE_KEY_BYTES))],
    height: AtHeight = None,
    trusted_height: FromHeight = 0,
) -> Response:
    """审计查询与问题的键须审计方或当事部门签名请求。 / Keys of audits need an auditor's or party's signature."""
    services = services_of(request)
    raw = hex_parameter("key", key, max_size=MAX_STATE_KEY_BYTES)
    if not is_restricted_key(raw):
        return _proof_response(_prove(services, raw, height, trusted_height))
    caller = services.identify(request)
    proof = _prove(services, raw, height, trusted_height)
    if not is_auditor(caller) and caller.department not in _parties(proof):
        raise Problem("ROLE_REQUIRED")
    return _proof_response(proof)


@ROUTER.get("/anchors/{digest}", summary="一项锚定 / One anchor", response_model=schemas.Anchor)
async def anchor(
    request: Request,
    digest: Annotated[str, Path(json_schema_extra=hex_schema(32))],
    department: Annotated[str, Query(max_length=18, description="锚定部门代码 / code of the anchoring department")],
) -> Response:
    """某部门对某摘要的锚定记录。 / A department's anchor of a digest."""
    services = services_of(request)
    record = load_anchor(services.state(), hex_parameter("digest", digest, 32), department)
    if record is None:
        raise Problem("NOT_FOUND", found=digest)
    shown = to_json(record) | {"department_name": services.department_name(department)}
    return json_response(request, shown, cacheable=True)


def _parties(proof: RecordProof) -> set[str]:
    """Return the departments that may see a restricted record beside auditors: none where there is no record."""
    if proof.value is not None and proof.key.startswith(FINDINGS.prefix):
        return {FINDINGS.decode(proof.value).subject.department}
    return set()


def _prove(services: Services, key: bytes, height: int | None, trusted_height: int) -> RecordProof:
    """Return the proof of a key; raise Problem when the height is unknown, pruned, or not above the trusted one."""
    ledger = services.view.ledger
    if not ledger.height:
        raise Problem("NOT_READY", reason=Text("还没有区块", "there is no block yet"))
    try:
        return ledger.record_proof(key, height, trusted_height)
    except HistoryNotHeld:
        raise
    except UnknownHeight as error:
        expected = Text(
            f" {max(ledger.oldest_height, trusted_height + 1)} 至 {ledger.height}",
            f"{max(ledger.oldest_height, trusted_height + 1)} to {ledger.height}",
        )
        code = "HISTORY_PRUNED" if height is not None and height < ledger.oldest_height else "PARAMETER_INVALID"
        field = "height" if height is not None else "trusted_height"
        found = str(height if height is not None else trusted_height)
        raise Problem(code, field=field, expected=expected, found=found) from error


def _proof_response(proof: RecordProof) -> Response:
    return Response(encode_proof_file(proof), media_type="application/json", headers={"cache-control": "no-cache"})
