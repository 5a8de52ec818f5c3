"""The handshake's content: what this node says of its chain, and what its ledger says of a peer's."""

from __future__ import annotations

from typing import Final

from node.chain.block import block_id
from node.ledger.ledger import Ledger, UnknownHeight
from node.wire.away import Away, AwayCode
from node.wire.frames import PROTOCOL_VERSION, Hello

SAME_RULES: Final = "install the same release on both, or start the one that differs from an empty data folder"


def own_hello(ledger: Ledger, node_name: str, software_version: str, time_ms: int) -> Hello:
    """Return the Hello of a node whose ledger stands where `ledger` does now."""
    return Hello(
        PROTOCOL_VERSION,
        ledger.genesis.hash,
        ledger.parameters().hash,
        node_name,
        ledger.height,
        ledger.head_id,
        software_version,
        time_ms,
    )


def find_ledger_difference(ledger: Ledger, hello: Hello) -> Away | None:
    """Return in what a peer's chain differs from ours, naming both values; None where it does not, or where it is ahead of us.

    A peer that is ahead compares our head with its own ledger; one that stands where we keep no blocks cannot be compared.
    """
    height = hello.height
    if height > ledger.height:
        return None
    try:
        if height == ledger.height:
            head_id, parameters_hash = ledger.head_id, ledger.parameters().hash
        else:
            head_id = block_id(ledger.header(height)) if height else ledger.genesis.hash
            parameters_hash = ledger.header(height + 1).parameters_hash
    except UnknownHeight:
        return None
    if hello.head_id != head_id:
        text = f"its block at height {height} is {hello.head_id.hex()}, this node's {head_id.hex()}: {SAME_RULES}"
        return Away(AwayCode.CHAIN_DIFFERS, text)
    if hello.parameters_hash != parameters_hash:
        return Away(
            AwayCode.PARAMETERS_DIFFER,
            f"its chain parameters for height {height + 1} are {hello.parameters_hash.hex()}, "
            f"this node's {parameters_hash.hex()}: {SAME_RULES}",
        )
    return None
