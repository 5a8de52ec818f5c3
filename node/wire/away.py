"""Why a peer is away: a code for programs beside the sentence for people."""

from __future__ import annotations

import enum
from typing import NamedTuple


class AwayCode(enum.StrEnum):
    """What kind of reason keeps a peer away."""

    NOT_REACHED = "NOT_REACHED"
    """No connection to its address was made."""
    TLS_FAILED = "TLS_FAILED"
    """One side's TLS did not take the other's certificate or algorithms."""
    CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    """Its certificate is in order, but not that of the node expected here."""
    VERSION_DIFFERS = "VERSION_DIFFERS"
    GENESIS_DIFFERS = "GENESIS_DIFFERS"
    PARAMETERS_DIFFER = "PARAMETERS_DIFFER"
    CHAIN_DIFFERS = "CHAIN_DIFFERS"
    """Another block stands at a height that both have."""
    RULE_BROKEN = "RULE_BROKEN"
    """It was here, or nearly, and sent what no correct node sends."""
    LOST = "LOST"
    """The connection ended, or the peer ended it, without a reason that this node knows."""


class Away(NamedTuple):
    """Why a peer is away, or is refused: the code, and one English sentence that names the values."""

    code: AwayCode
    text: str
