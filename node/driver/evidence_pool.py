"""The evidence pool: offences that this node has seen proved and that no final block carries yet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consensus.evidence import Evidence, InvalidEvidence, Offence, decode_evidence, verify_evidence
from node.chain.codec import CodecError, decode, encode
from node.ledger.ledger import Ledger
from node.logs import Log
from sm_crypto.sm2 import verify_batch

FILE_NAME: Final = "evidence"
"""In the node's data folder."""
MAX_PENDING_PER_VALIDATOR: Final = 8
"""With at most 128 validators, at most 1,024 pieces of 1,024 bytes are held in all."""

_LOG = Log("evidence")


class EvidencePool:
    """Pieces on their way into a block, one an offence; its file outlives a restart, and its loss or damage stops nothing."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        """Hold those pieces of the file that still convict somebody and are not on the chain."""
        self._path = path
        self._ledger = ledger
        self._pending: dict[Offence, bytes] = {}
        self._per_validator: Counter[int] = Counter()
        self.equivocations = 0
        """Offences that this node saw proved since its start, those that its file held among them."""
        for raw in self._load():
            try:
                self._add(raw)
            except InvalidEvidence as error:
                _LOG.warning("stored_evidence_dropped", path=str(path), reason=error.reason)

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, offence: Offence) -> bool:
        return offence in self._pending

    def pieces(self) -> list[bytes]:
        """Return the pending pieces in ascending order of their offences."""
        return [raw for _, raw in sorted(self._pending.items())]

    def take(self, raw: bytes) -> bool:
        """Return whether the piece was new and is pending now; raise InvalidEvidence where it convicts nobody.

        One that is on the chain, of a height that this node cannot judge, or beyond what is held of one validator, is not new.
        """
        evidence = self._add(raw)
        if evidence is None:
            return False
        height, round_, kind, index = evidence.offence
        _LOG.warning("equivocation", height=height, round=round_, kind=kind, validator=index)
        self._save()
        return True

    def on_final(self, evidence: Sequence[bytes]) -> None:
        """Let go of what the final block's evidence has settled."""
        if not evidence or not self._pending:
            return
        pieces = list(self._pending.values())
        self._pending.clear()
        self._per_validator.clear()
        for raw in pieces:
            piece = decode_evidence(raw)
            if self._is_open(piece):
                self._hold(raw, piece)
        self._save()

    def _add(self, raw: bytes) -> Evidence | None:
        """Hold the piece and return it if it is new; raise InvalidEvidence."""
        evidence = decode_evidence(raw)
        height, _, _, index = evidence.offence
        if (
            evidence.offence in self._pending
            or not 0 < height <= self._ledger.height + 1
            or self._per_validator[index] >= MAX_PENDING_PER_VALIDATOR
        ):
            return None
        validators = self._ledger.validators_at(height)
        if height > self._ledger.height:
            verify_evidence(evidence, validators, self._ledger.genesis.hash, verify_batch)
        elif index < len(validators) and not self._ledger.may_carry(evidence):
            # Asked before the signatures are checked: what is settled can be sent again and again.
            return None
        else:
            self._ledger.judge_evidence(raw)
        self._hold(raw, evidence)
        self.equivocations += 1
        return evidence

    def _hold(self, raw: bytes, evidence: Evidence) -> None:
        self._pending[evidence.offence] = raw
        self._per_validator[evidence.first.validator_index] += 1

    def _is_open(self, evidence: Evidence) -> bool:
        """Return whether a block may still carry a piece that convicts; one of the height being decided may carry over."""
        return evidence.first.height > self._ledger.height or self._ledger.may_carry(evidence)

    def _load(self) -> list[bytes]:
        try:
            return decode(self._path.read_bytes(), list[bytes])
        except FileNotFoundError:
            return []
        except (OSError, CodecError) as error:
            _LOG.warning("evidence_file_unreadable", path=str(self._path), reason=str(error))
            return []

    def _save(self) -> None:
        """Put the pieces on disk; where that fails they are still in memory, and with the peers."""
        partial = self._path.with_name(FILE_NAME + ".new")
        try:
            with partial.open("wb") as file:
                file.write(encode(self.pieces()))
                file.flush()
                os.fdatasync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            _LOG.warning("evidence_file_not_written", path=str(self._path), reason=str(error))
