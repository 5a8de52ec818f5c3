"""Bodies: the transactions of a proposed block that the pool lacks, fetched from the peers that sent the proposal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.chain.transaction import transaction_hash
from node.driver.effects import BodyTimer, Effects
from node.driver.proposals import Candidate
from node.driver.signature_verifier import Verdict
from node.driver.txpool import Rejection, RejectionCode, TxPool
from node.wire.frames import BodyRequest, BodyResponse

BODY_PATIENCE_MS: Final = 300

_FAULTS: Final = (RejectionCode.MALFORMED, RejectionCode.BAD_SIGNATURE)


class Bodies:
    """Fills candidates from the pool, from what is being verified, and then from peers."""

    def __init__(self, pool: TxPool, effects: Effects) -> None:
        self._pool = pool
        self._effects = effects
        self._batches_started = 0
        self._batches_done = 0

    def verify(self, raws: list[bytes], callback: Callable[[list[Verdict]], None]) -> None:
        """Have transactions verified and count the batch: until it is done, it may hold what a candidate lacks."""

        def on_done(verdicts: list[Verdict]) -> None:
            self._batches_done += 1
            callback(verdicts)

        self._batches_started += 1
        self._effects.verify_transactions(raws, on_done)

    def collect(self, candidate: Candidate) -> bool:
        """Return whether the body is complete; if it is not, ask for the rest once nothing that came before may still bring it."""
        candidate.fill(self._pool.get)
        if not candidate.missing:
            return True
        if candidate.ask_after_batch is None:
            # A client's transactions reach this node just before the proposal that names them: asking for what the
            # verifier has in hand would double the traffic.
            candidate.ask_after_batch = self._batches_started
        if not candidate.requests and self._batches_done >= candidate.ask_after_batch:
            self._ask(candidate)
        return False

    def _ask(self, candidate: Candidate) -> None:
        if not candidate.sources:
            return
        peer = candidate.sources[candidate.requests % len(candidate.sources)]
        candidate.requests += 1
        self._effects.send(peer, BodyRequest(candidate.id, list(candidate.missing)))
        self._effects.schedule(BODY_PATIENCE_MS, BodyTimer(candidate.id, candidate.requests))

    def on_timer(self, candidate: Candidate, request: int) -> None:
        """Ask the next peer if the body is still incomplete and this was the newest request."""
        if candidate.missing and not candidate.is_judged and candidate.requests == request:
            self._ask(candidate)

    def on_response(self, candidate: Candidate, response: BodyResponse, then: Callable[[], None]) -> None:
        """Verify what a peer sent for a candidate, put it in, and go on with `then`."""
        raws = response.transactions[: len(candidate.missing)]
        if raws:
            self.verify(raws, lambda verdicts: self._put(candidate, raws, verdicts, then))

    def _put(self, candidate: Candidate, raws: list[bytes], verdicts: list[Verdict], then: Callable[[], None]) -> None:
        for raw, verdict in zip(raws, verdicts, strict=True):
            if not isinstance(verdict, Rejection):
                position = candidate.missing.pop(verdict.hash, None)
                if position is not None:
                    candidate.bodies[position] = verdict
            elif verdict.code in _FAULTS and transaction_hash(raw) in candidate.missing:
                # The header's root covers this hash, so the proposer put these very bytes into the block.
                candidate.invalid_reason = f"transaction {transaction_hash(raw).hex()}: {verdict.message}"
        then()
