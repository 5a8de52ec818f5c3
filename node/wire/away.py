"""Why a peer is away: a code for programs beside the sentence for people."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


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


IN_CHINESE: Final[dict[str, str]] = {
    AwayCode.NOT_REACHED: "连不上",
    AwayCode.TLS_FAILED: "TLS 握手失败，一方不接受另一方的证书",
    AwayCode.CERTIFICATE_REFUSED: "证书不是该节点的",
    AwayCode.VERSION_DIFFERS: "协议版本不同",
    AwayCode.GENESIS_DIFFERS: "创世不同，属于另一个网络",
    AwayCode.PARAMETERS_DIFFER: "链参数不同",
    AwayCode.CHAIN_DIFFERS: "同一高度的区块不同",
    AwayCode.RULE_BROKEN: "发来不合规则的内容，已被断开",
    AwayCode.LOST: "连接断开",
}
"""Each code in words, for readers of Chinese."""


class Away(NamedTuple):
    """Why a peer is away, or is refused: the code, and one English sentence that names the values."""

    code: AwayCode
    text: str
