"""Forgeries of proofs: the way to the state root, the header, the validators and their signatures, the status, and old proofs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from contracts.anchors import anchor_key
from contracts.certificate_records import CertificateContent, certificate_key
from node.chain.block import Header, block_id
from node.chain.proof import RecordProof
from node.http.proof_file import decode_proof_file, encode_proof_file
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import DEPARTMENT, make_chain
from tests.verification.tampering.forged_world import DAY_MS, ForgedWorld, Forgeries, at, edited, flip
from verification.batch_proof import encode_batch_proof
from verification.certificate_files.document import encode_file
from verification.freshness import with_status_list
from verification.proof_verdicts import limit_age
from verification.proofs import verify_proof

RECORD, PATH, HEADER = "PROOF_BROKEN: record", "PROOF_BROKEN: path", "PROOF_BROKEN: header"
SET, TRUST = "PROOF_BROKEN: validator-set", "PROOF_BROKEN: trust"
QUORUM, SIGNATURES = "PROOF_BROKEN: certificate", "PROOF_BROKEN: signatures"
FILE, MEMBER = "PROOF_BROKEN: file", "PROOF_BROKEN: member"


def state_path(w: ForgedWorld) -> Forgeries:
    """The way from a record, or from its absence, to the state root."""
    raw, batch = w.proofs["single"], w.member_proof

    def proof(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(edited(raw, *path, to=to))

    def member(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(edited(batch, *path, to=to))

    for name, depth in (("first", 0), ("last", -1)):
        yield f"sibling of the {name} step changed", PATH, proof("state", "steps", depth, "siblings", 0, to=flip)
        yield f"bitmap of the {name} step changed", PATH, proof("state", "steps", depth, "bitmap", to=_other_bitmap)
    yield "the last step left out", PATH, proof("state", "steps", to=lambda found: found[:-1])
    yield "a step twice", PATH, proof("state", "steps", to=lambda found: [*found, found[-1]])
    yield "another record's way", RECORD, proof("state", to=at(w.proofs["other"], "state"))
    yield "the leaf said to be an empty slot", RECORD, proof("state", "leaf", to=None)
    yield "the leaf of another value", RECORD, proof("state", "leaf", "value_hash", to=flip)
    yield "the leaf of another key", RECORD, proof("state", "leaf", "path", to=flip)
    yield (
        "a certificate's own place in the batch: another sibling",
        "NOT_IN_BATCH",
        member("member", "path", 0, to=flip),
    )
    yield "another place in the batch", "NOT_IN_BATCH", member("member", "position", to=1)
    yield "another document digest in the leaf", "NOT_IN_BATCH", member("member", "content", "document_digest", to=flip)
    yield (
        "a longer validity in the leaf",
        "NOT_IN_BATCH",
        member("member", "content", "valid_to_ms", to=lambda time_ms: time_ms + 1),
    )
    yield (
        "the batch's record by another way",
        PATH,
        member("batch_record", "state", "steps", to=lambda found: [*found[:-1], {**found[-1], "bitmap": 3}]),
    )
    yield "absence of a record by another way", PATH, member("own_record", "state", "steps", 0, "siblings", 0, to=flip)
    yield "absence of a neighbour's record instead", RECORD, member("own_record", to=at(w.member_before, "own_record"))


def _other_bitmap(bitmap: int) -> int:
    """Return a bitmap with one child more or less, and at least one."""
    return bitmap ^ 0x8000 if bitmap != 0x8000 else 0x8001


def header(w: ForgedWorld) -> Forgeries:
    """Every part of the block's header, and headers of other blocks."""
    raw = w.proofs["single"]
    for name in Header.__struct_fields__[1:]:
        yield f"{name} changed", HEADER, partial(_verify_edited, w, raw, ("header", name))
    yield "another version", HEADER, lambda: w.verify(edited(raw, "header", "version", to=2))
    yield (
        "an earlier block's header",
        HEADER,
        lambda: w.verify(edited(raw, "header", to=at(w.before["suspended"], "header"))),
    )
    yield (
        "a later time, and the certificate's block id made to fit",
        SIGNATURES,
        lambda: w.verify(_with_header(raw, lambda old: msgspec.structs.replace(old, time_ms=old.time_ms + DAY_MS))),
    )
    yield (
        "another state root, and the block id made to fit",
        PATH,
        lambda: w.verify(_with_header(raw, lambda old: msgspec.structs.replace(old, state_root=sm3(b"forged")))),
    )
    yield (
        "a height further on, and the block id made to fit",
        QUORUM,
        lambda: w.verify(_with_header(raw, lambda old: msgspec.structs.replace(old, height=old.height + 1))),
    )
    yield "a member more", HEADER, lambda: w.verify(edited(raw, "header", "note", to="x"))


def _verify_edited(w: ForgedWorld, raw: bytes, path: tuple[str, ...]) -> Any:
    """Return the verdict on a proof with the number or the digits at a place changed."""
    return w.verify(edited(raw, *path, to=lambda value: value + 1 if isinstance(value, int) else flip(value)))


def _with_header(raw: bytes, change: Callable[[Header], Header]) -> bytes:
    """Return a proof file with a changed header and the id that it then has in the certificate."""
    proof = decode_proof_file(raw).proof
    changed = change(proof.header)
    certificate = msgspec.structs.replace(proof.certificate, block_id=block_id(changed))
    return encode_proof_file(msgspec.structs.replace(proof, header=changed, certificate=certificate))


def commit(w: ForgedWorld) -> Forgeries:
    """The commit certificate: which validators signed, and what."""
    raw = w.proofs["single"]
    signatures = at(raw, "certificate", "signatures")
    outsiders = [PrivateKey.generate() for _ in range(3)]

    def part(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(edited(raw, "certificate", *path, to=to))

    def two(certificate: dict[str, Any]) -> dict[str, Any]:
        return certificate | {"signers": certificate["signers"][:2], "signatures": signatures[:2]}

    for place in range(len(signatures)):
        yield f"signature {place} changed", SIGNATURES, part("signatures", place, to=flip)
    yield (
        "signatures of two validators exchanged",
        SIGNATURES,
        part("signatures", to=lambda found: [found[1], found[0], *found[2:]]),
    )
    yield "fewer than a quorum", QUORUM, lambda: w.verify(edited(raw, "certificate", to=two))
    yield "one validator counted twice", QUORUM, part("signers", to=[0, 1, 1])
    yield "a validator that there is not", QUORUM, part("signers", to=[0, 1, 4])
    yield "a signature more than signers", QUORUM, part("signatures", to=lambda found: [*found, found[0]])
    yield "signers in another order", QUORUM, part("signers", to=lambda found: found[::-1])
    yield "another validator named for a signature", SIGNATURES, part("signers", to=[0, 1, 3])
    yield "another round", SIGNATURES, part("round", to=1)
    yield "another height", QUORUM, part("height", to=lambda height: height + 1)
    yield "another block's id", HEADER, part("block_id", to=flip)
    yield (
        "prevotes in the place of precommits",
        SIGNATURES,
        lambda: w.verify(_signed_by(w, raw, w.chain.validator_keys, VoteKind.PREVOTE, w.chain.genesis.hash)),
    )
    yield (
        "votes of the same validators on another chain",
        SIGNATURES,
        lambda: w.verify(_signed_by(w, raw, w.chain.validator_keys, VoteKind.PRECOMMIT, sm3(b"another genesis"))),
    )
    yield (
        "signed by others than the validators",
        SIGNATURES,
        lambda: w.verify(_signed_by(w, raw, outsiders, VoteKind.PRECOMMIT, w.chain.genesis.hash)),
    )
    yield (
        "validators with one key exchanged",
        SET,
        lambda: w.verify(edited(raw, "validators", 0, "public_key", to=outsiders[0].public_key.hex())),
    )
    yield "a validator left out", SET, lambda: w.verify(edited(raw, "validators", to=lambda found: found[:3]))
    yield "validators in another order", SET, lambda: w.verify(edited(raw, "validators", to=lambda found: found[::-1]))


def _signed_by(w: ForgedWorld, raw: bytes, keys: list[PrivateKey], kind: VoteKind, genesis: bytes) -> bytes:
    """Return a proof file with the quorum's signatures made anew: with these keys, over this kind of vote, for this chain."""
    proof = decode_proof_file(raw).proof
    old = proof.certificate
    digest = vote_sign_digest(genesis, kind, old.height, old.round, old.block_id)
    by_key = {key.public_key: key for key in keys}
    signers = [by_key.get(proof.validators[place].public_key, keys[0]) for place in old.signers]
    made = CommitCertificate(old.height, old.round, old.block_id, old.signers, [key.sign(digest) for key in signers])
    return encode_proof_file(msgspec.structs.replace(proof, certificate=made))


def set_history(w: ForgedWorld) -> Forgeries:
    """The walk from the validators that are trusted to those that signed."""
    raw = w.walked

    def change(*path: Any, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(edited(raw, "walk", 0, *path, to=to))

    def forged_walk(proof: RecordProof) -> RecordProof:
        """The new set's own keys say that they took over."""
        step = proof.walk[0]
        digest = vote_sign_digest(
            w.chain.genesis.hash, VoteKind.PRECOMMIT, step.header.height, 0, block_id(step.header)
        )
        thief = PrivateKey.generate()
        certificate = msgspec.structs.replace(step.certificate, signatures=[thief.sign(digest)] * 3)
        return msgspec.structs.replace(proof, walk=(msgspec.structs.replace(step, certificate=certificate),))

    yield "the walk left out", "ANOTHER_NETWORK", lambda: w.verify(edited(raw, "walk", to=[]))
    yield "a change twice", TRUST, lambda: w.verify(edited(raw, "walk", to=lambda walk: walk * 2))
    yield "the change's next set exchanged", TRUST, change("header", "next_validators_hash", to=flip)
    yield "the change's height exchanged", TRUST, change("header", "height", to=lambda height: height - 1)
    yield "the change's signature changed", TRUST, change("certificate", "signatures", 0, to=flip)
    yield (
        "fewer than a quorum for the change",
        TRUST,
        change(
            "certificate", to=lambda old: old | {"signers": old["signers"][:2], "signatures": old["signatures"][:2]}
        ),
    )
    yield "the change certified by the new set", TRUST, change("validators", to=at(raw, "validators"))
    yield (
        "the change signed by a stranger",
        TRUST,
        lambda: w.verify(encode_proof_file(forged_walk(decode_proof_file(raw).proof))),
    )
    yield "the change of another block", TRUST, change("header", to=at(w.proofs["single"], "header"))
    yield (
        "the trusted set with the new set's block",
        SET,
        lambda: w.verify(edited(edited(raw, "walk", to=[]), "validators", to=at(w.proofs["single"], "validators"))),
    )
    yield "a walk of things that are none", TRUST, lambda: w.verify(edited(raw, "walk", to=[{}]))
    yield "a proof of another network", "ANOTHER_NETWORK", lambda: w.verify(_another_network(w))
    yield "a proof of before the checkpoint that is trusted", TRUST, lambda: _after_checkpoint(w)


def _another_network(w: ForgedWorld) -> bytes:
    """The same certificate, on a chain that the forger founded."""
    other = make_chain(w.identifier("single"))
    return encode_proof_file(other.prove(certificate_key(w.identifier("single"))))


def _after_checkpoint(w: ForgedWorld) -> Any:
    proof = decode_proof_file(w.walked).proof
    trust = msgspec.structs.replace(
        w.trust, height=proof.header.height + 1, next_validators_hash=proof.header.validators_hash.hex()
    )
    return verify_proof(w.walked, None, trust, w.now_ms)


def status(w: ForgedWorld) -> Forgeries:
    """Certificates that are not in force, shown as what they are, and with their records retouched."""
    raw, files = w.proofs, w.files

    def words(name: str, to: Any) -> Callable[[], Any]:
        return lambda: w.verify(edited(raw[name], "record", "fields", "history", to=to))

    def value(name: str, find: str, put: str) -> Callable[[], Any]:
        def attempt() -> Any:
            assert find in at(raw[name], "record", "value")
            return w.verify(edited(raw[name], "record", "value", to=lambda text: text.replace(find, put, 1)))

        return attempt

    in_force = at(raw["single"], "record", "fields", "history")
    yield "a suspended certificate's own proof", "SUSPENDED", lambda: w.verify(raw["suspended"], files["suspended"])
    yield "a revoked one's", "ENDED", lambda: w.verify(raw["revoked"], files["revoked"])
    yield "one that was renewed", "SUPERSEDED", lambda: w.verify(raw["renewed"], files["renewed"])
    yield "one that has run out", "EXPIRED", lambda: w.verify(raw["expired"], files["expired"])
    yield "one that has not begun", "NOT_YET_VALID", lambda: w.verify(raw["future"], files["future"])
    yield "one that is being transferred out", "SUSPENDED", lambda: w.verify(raw["leaving"], files["leaving"])
    yield "one of a batch, suspended", "SUSPENDED", lambda: w.verify(w.prove_member(3))
    yield (
        "one that was never issued",
        "NOT_ON_LEDGER",
        lambda: w.verify(w.prove_identifier(w.draft("20260000077").core.identifier)),
    )
    yield "the words of a suspended one's history retouched", RECORD, words("suspended", in_force)
    yield "the words of a revoked one's cut off", RECORD, words("revoked", lambda history: history[:1])
    yield (
        "the words of the successor taken out",
        RECORD,
        lambda: w.verify(edited(raw["renewed"], "record", "fields", "successor", to="")),
    )
    yield "a suspended status's bytes retouched", RECORD, value("suspended", "a2" + b"02".hex(), "a2" + b"01".hex())
    yield "a revoked status's bytes retouched", RECORD, value("revoked", "a2" + b"03".hex(), "a2" + b"01".hex())
    yield (
        "another certificate's record under its key",
        RECORD,
        lambda: w.verify(edited(raw["suspended"], "record", "value", to=at(raw["single"], "record", "value"))),
    )
    yield (
        "its record said to be another kind",
        RECORD,
        lambda: w.verify(edited(raw["suspended"], "record", "kind", to="anchor")),
    )
    yield (
        "its absence claimed",
        RECORD,
        lambda: w.verify(edited(edited(raw["suspended"], "record", "value", to=None), "record", "fields", to=None)),
    )
    yield (
        "a document with a proof that it is not on the ledger",
        "NOT_ON_LEDGER",
        lambda: w.verify(w.prove_identifier(w.draft("20260000077").core.identifier), files["single"]),
    )
    yield (
        "run out since the proof was made",
        "EXPIRED",
        lambda: w.verify(raw["single"], files["single"], now_ms=w.now_ms + 3_000 * DAY_MS),
    )
    yield (
        "a batch that names an identifier again which another certificate has",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(_clash(w)),
    )


def _clash(w: ForgedWorld) -> bytes:
    """A leaf under the identifier of a certificate that has a record, about another document."""
    identifier = w.chain_identifier
    content = CertificateContent(identifier, sm3(b"forged"), sm3(b"holder"), 0, w.now_ms + 400 * DAY_MS)
    batch, (member,) = w.chain.issue_batch([content])
    return encode_batch_proof(w.chain.prove_member(batch, member))


def replayed_proof(w: ForgedWorld) -> Forgeries:
    """Proofs that were true once, or are true of something else."""
    day = DAY_MS

    def listed(proof: bytes, listed: bytes | None = None) -> Callable[[], Any]:
        return lambda: with_status_list(w.verify(proof), listed or w.list_now, w.list_trust)

    yield "from before the suspension, with a status list of after", "ASK_ONLINE", listed(w.before["suspended"])
    yield "from before the revocation, with a status list of after", "ASK_ONLINE", listed(w.before["revoked"])
    yield "from before the renewal, with a status list of after", "ASK_ONLINE", listed(w.before["renewed"])
    yield (
        "of one of a batch from before its suspension, with the batch's list",
        "SUSPENDED",
        listed(w.member_before, w.batch_list),
    )
    yield "older than the verifier takes", "PROOF_TOO_OLD", lambda: limit_age(w.verify(w.before["revoked"]), day // 2)
    yield (
        "older than the verifier takes, with a list of before it",
        "PROOF_TOO_OLD",
        lambda: limit_age(with_status_list(w.verify(w.proofs["single"]), w.list_before, w.list_trust), day // 2),
    )
    yield "under a trust file of after the validators changed", TRUST, lambda: _with_checkpoint(w)
    yield from _of_another_certificate(w)
    yield "an old record under a newer header", PATH, lambda: w.verify(_old_record_new_header(w))
    yield (
        "a newer header's words on an old proof",
        HEADER,
        lambda: w.verify(edited(w.before["revoked"], "header", "time_ms", to=w.now_ms)),
    )
    yield (
        "absence of a record from before it was admitted, beside the batch's record of now",
        PATH,
        lambda: w.verify(edited(w.prove_member(3), "own_record", to=at(w.member_before, "own_record"))),
    )
    yield (
        "old, before a clock that is five years behind",
        "CLOCK_BEHIND",
        lambda: w.verify(w.before["revoked"], now_ms=w.as_of_ms - 5 * 365 * day),
    )
    yield (
        "old, of one of a batch, before such a clock and with an age that is asked for",
        "CLOCK_BEHIND",
        lambda: limit_age(w.verify(w.member_proof, now_ms=w.as_of_ms - 365 * day), day),
    )
    yield "of another network", "ANOTHER_NETWORK", lambda: w.verify(_another_network(w), w.files["single"])
    yield (
        "with a member that stands twice",
        FILE,
        lambda: w.verify(w.proofs["single"].replace(b'"header":', b'"header": {}, "header":', 1)),
    )


def _of_another_certificate(w: ForgedWorld) -> Forgeries:
    yield (
        "of another certificate, with this one's document",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(w.proofs["other"], w.files["single"]),
    )
    yield (
        "of the predecessor, with the successor's document",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(w.before["renewed"], _successor_file(w)),
    )
    yield (
        "of another certificate of the batch",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(w.prove_member(1), w.member_file),
    )
    yield (
        "of a single certificate, with one of a batch",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(w.proofs["single"], w.member_file),
    )
    yield (
        "of a batch, with a single certificate",
        "ANOTHER_CERTIFICATE",
        lambda: w.verify(w.member_proof, w.files["single"]),
    )


def _with_checkpoint(w: ForgedWorld) -> Any:
    proof = decode_proof_file(w.walked).proof
    after = msgspec.structs.replace(
        w.trust, height=proof.walk[0].header.height, next_validators_hash=proof.header.validators_hash.hex()
    )
    return verify_proof(w.before["revoked"], None, after, w.now_ms)


def _successor_file(w: ForgedWorld) -> bytes:
    return encode_file(w.seal(w.successor))


def _old_record_new_header(w: ForgedWorld) -> bytes:
    """The proof of before the revocation, with the header and certificate of after."""
    content, later = json.loads(w.before["revoked"]), json.loads(w.proofs["single"])
    return json.dumps(content | {name: later[name] for name in ("header", "certificate", "validators")}).encode()


def recorded(w: ForgedWorld) -> Forgeries:
    """Forged files whose very bytes the ledger records: as an anchor of anybody's, or as the document of some worthless certificate."""
    forged = encode_file(w.seal(w.draft("20269999999", holder="骗子"), w.impostor))
    files = {
        "a forged document": forged,
        "a forged document with a line before it": b"\n" + forged,
        "a forged document of a batch": edited(w.member_file, "values", 0, to="示(2026)第999号"),
        "a presentation signed by the thief": edited(w.bound_file, "binding", "signature", to=flip),
        "a copy made by an impostor": encode_file(w.annotate(w.shown, w.impostor)),
    }
    for number, (name, raw) in enumerate(files.items()):

        def anchored(raw: bytes = raw) -> Any:
            if w.chain.state.get(anchor_key(sm3(raw), DEPARTMENT)) is None:
                w.chain.call(w.chain.clerk, "anchors", "anchor", digest=sm3(raw), label="不动产权证书")
            return _after(w, encode_proof_file(w.chain.prove(anchor_key(sm3(raw), DEPARTMENT))), raw)

        def issued(raw: bytes = raw, serial: str = f"2026888888{number}") -> Any:
            content = msgspec.structs.replace(w.draft(serial).content, document_digest=sm3(raw))
            if w.chain.state.get(certificate_key(content.identifier)) is None:
                w.call("issue", **msgspec.structs.asdict(content))
            return _after(w, w.prove_identifier(content.identifier), raw)

        yield f"{name}, anchored", "WRONG_PROOF", anchored
        yield f"{name}, recorded as another certificate's", "ANOTHER_CERTIFICATE", issued

    def in_batch() -> Any:
        content = msgspec.structs.replace(w.draft("20291111111").content, document_digest=sm3(forged))
        batch, (member,) = w.chain.issue_batch([content])
        return _after(w, encode_batch_proof(w.chain.prove_member(batch, member)), forged)

    yield "a forged document, recorded as one of a batch", "ANOTHER_CERTIFICATE", in_batch


def _after(w: ForgedWorld, proof: bytes, file: bytes) -> Any:
    """Return the verdict a second after the proof, which is of the last block."""
    return w.verify(proof, file, now_ms=max(w.now_ms, w.chain.time_ms + 1_000))
