"""What is said of a file that is no proof, of a proof of another network, and of one that does not hold, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from node.chain.proof import ProofError, UntrustedValidatorsError
from node.chain.state_proof import StateProofError
from node.http.proof_file import ProofFileError
from verification.proof_verdicts import PART_STEPS, Verdict, broken
from verification.reasons import found_kind
from verification.trust import TrustFile

PROOF_MARKS: Final = (b'"govnode-proof/', b'"govnode-batch-proof/')
"""One of them stands in whatever says that it is a proof, however damaged."""

_REASONS: Final = {
    "record": "记录或其文字与证明不一致",
    "header": "区块头不是证书所指的区块",
    "path": "默克尔路径不通向区块头的状态根",
    "validator-set": "共识节点不是区块头所指的集合",
    "trust": "共识节点的变更不从信任文件的检查点通向此区块",
    "certificate": "确认证书不是此区块的，或未达法定多数",
    "signatures": "共识节点的签名不成立",
}
"""What a step says in Chinese where it breaks; the English text says how."""


def refuse_malformed(steps: Mapping[str, tuple[str, str]], raw: bytes, error: ProofFileError) -> Verdict:
    """Return the verdict on bytes that are no proof file: NOT_A_PROOF where they do not even say that they are."""
    step = PART_STEPS.get(error.part, error.part)
    if step != "file" or any(mark in raw for mark in PROOF_MARKS):
        zh = "格式有误：文件残缺、被改动，或出自别的版本；请重新取得"
        en = f"malformed, cut off, changed or of another version: {error.reason}; fetch it again"
        return broken(steps, step, zh, en, is_checked_before=False)
    zh_found, en_found = found_kind(raw)
    zh = (
        "不是可核验的文件：应为证明文件（*.proof.json）、证照文件或出示件、加注件、证照二维码的照片、审计追踪（*.gvt）；"
        f"实为 {zh_found}，请核对所选的文件"
    )
    en = (
        "expected a proof file (*.proof.json), a certificate's file, a presentation or annotated copy of one, the photo of its code, or an "
        f"audit trace (*.gvt); found {en_found}: check which file it is"
    )
    told = broken(steps, step, zh, en, "NOT_A_PROOF", is_checked_before=False)
    return msgspec.structs.replace(told, zh=zh, en=en)


def refuse_proof(
    steps: Mapping[str, tuple[str, str]], error: ProofError | StateProofError | ProofFileError, trust: TrustFile
) -> Verdict:
    """Return the verdict on a proof that does not hold: ANOTHER_NETWORK where it is not of the trusted network from its beginning."""
    if not isinstance(error, UntrustedValidatorsError):
        step = error.step if isinstance(error, ProofError) else error.part
        return broken(steps, step, _REASONS[step], error.reason)
    zh = (
        f"出具证明的共识节点不是所信任网络“{trust.network_name}”（创世哈希 {trust.genesis_hash}）的："
        "证明属于另一网络，请用该网络的信任文件；如它自称属于本网络，则不可信"
    )
    en = (
        f'the validators of this proof are not those of the trusted network "{trust.network_name}" (genesis {trust.genesis_hash}): it is '
        "of another network, verify it with that network's trust file; if it is said to be of this one, do not trust it"
    )
    told = broken(steps, error.step, zh, en, "ANOTHER_NETWORK")
    return msgspec.structs.replace(told, zh=zh, en=en)
