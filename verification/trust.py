"""The trust file: what a verifier must know of a network beforehand, small enough to print as a code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from node.chain.proof import TrustAnchor
from node.http.proof_file import unambiguous_object
from verification.errors import InputError

if TYPE_CHECKING:
    from node.chain.genesis import Genesis
    from sm_crypto.x509 import Certificate

MAX_TRUST_BYTES: Final = 81_920
MAX_ROOT_CERTIFICATES: Final = 4
FORMAT: Final = "govnode-trust/1"

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
# 8,192 bytes, as sm_crypto.x509 bounds a certificate: that module is slow to import, and most proofs do without.
DerHex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+$(?!\n)", max_length=16_384)]


class TrustFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A network by its genesis, and the hash of the validator set that signs `height` + 1 (height 0: the founding set)."""

    format: Literal["govnode-trust/1"]
    network_name: Annotated[str, msgspec.Meta(max_length=200)]
    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    genesis_hash: Hex32
    height: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    next_validators_hash: Hex32
    root_certificates: Annotated[tuple[DerHex, ...], msgspec.Meta(max_length=MAX_ROOT_CERTIFICATES)] = ()
    """In DER: under which the departments' certificates stand, which sign documents and annotated copies."""

    @property
    def anchor(self) -> TrustAnchor:
        """What proofs are verified from."""
        return TrustAnchor(bytes.fromhex(self.genesis_hash), self.height, bytes.fromhex(self.next_validators_hash))

    def roots(self) -> tuple[Certificate, ...] | None:
        """Return the root certificates, None where the file has none; raise InputError TRUST_FILE_INVALID where one is malformed."""
        if not self.root_certificates:
            return None
        from sm_crypto.x509 import CertificateError, parse_certificate

        try:
            return tuple(parse_certificate(bytes.fromhex(der)) for der in self.root_certificates)
        except CertificateError as error:
            raise InputError(
                "TRUST_FILE_INVALID",
                f"信任文件中的根证书无法解读：{error}；请重新取得",
                f"a root certificate in the trust file cannot be read: {error}; fetch the file again",
            ) from None


def trust_of_genesis(genesis: Genesis) -> TrustFile:
    """Return the trust file of a network from its genesis."""
    return TrustFile(
        FORMAT,
        genesis.network_name,
        genesis.chain_id,
        genesis.hash.hex(),
        0,
        genesis.validator_set().hash.hex(),
        (genesis.root_certificate.hex(),) if genesis.root_certificate else (),
    )


def decode_trust(raw: bytes) -> TrustFile:
    """Return the trust file in `raw`; raise ValueError that says what is wrong in it."""
    if len(raw) > MAX_TRUST_BYTES:
        raise ValueError(f"more than {MAX_TRUST_BYTES} bytes")
    try:
        trust = msgspec.json.decode(raw, type=TrustFile)
        json.loads(raw, object_pairs_hook=unambiguous_object)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return trust
