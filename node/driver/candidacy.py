"""Candidacy: a validator to be that has followed the chain says so itself, signed with its validator key."""

from __future__ import annotations

from typing import Final

from contracts import registry
from contracts.parameters import LEAST_GAS
from node.chain.codec import encode
from node.chain.transaction import Transaction, TransactionBody, VerifiedTransaction, transaction_id
from node.driver.signature_verifier import verify_transactions
from node.identity import NodeIdentity, describe_difference, nominated_identity
from node.ledger.ledger import Ledger
from node.logs import Log
from sm_crypto.keystore import Signer

CONFIRM_INTERVAL_MS: Final = 3_000
MAX_CONFIRM_VALID_MS: Final = 30_000

_TRANSACTION_VERSION: Final = 1
_LOG = Log("candidacy")


class Candidacy:
    """Whether this node's key waits to become a validator, and its word that the node is ready."""

    def __init__(self, ledger: Ledger, signer: Signer, identity: NodeIdentity) -> None:
        """Ask nothing yet; `identity` is what this node's certificate says."""
        self._ledger = ledger
        self._signer = signer
        self._identity = identity
        self._last_ms: int | None = None

    def confirmation(self, now_ms: int) -> VerifiedTransaction | None:
        """Return the transaction by which this node's key joins the validators; None where it is none, has just asked, or is misnamed."""
        if self._last_ms is not None and 0 <= now_ms - self._last_ms < CONFIRM_INTERVAL_MS:
            return None
        ledger, signer = self._ledger, self._signer
        nominated = nominated_identity(ledger.state(), signer.address)
        if nominated is None:
            return None
        self._last_ms = now_ms
        if nominated != self._identity:
            # As a validator it would be looked for under that name, and never be found.
            _LOG.warning("candidate_misnamed", reason=describe_difference(self._identity, nominated)[1])
            return None
        window_ms = ledger.parameters().transaction_window_ms
        to, data = registry.encode_call("members", "confirm_validator", height=ledger.height, block_id=ledger.head_id)
        body = TransactionBody(
            _TRANSACTION_VERSION,
            ledger.genesis.chain_id,
            # Another one for each attempt: one that was refused stands in a block.
            ledger.height.to_bytes(8, "big") + now_ms.to_bytes(8, "big"),
            max(now_ms, ledger.head_time_ms) + min(window_ms, MAX_CONFIRM_VALID_MS),
            signer.public_key,
            to,
            # What every network's limits allow, and the largest set needs.
            LEAST_GAS,
            data,
        )
        (verdict,) = verify_transactions([encode(Transaction(body, signer.sign(transaction_id(body))))])
        return verdict if isinstance(verdict, VerifiedTransaction) else None
