"""Mutual TLS between nodes with the national suite (RFC 8998): TLS_SM4_GCM_SM3 over curveSM2, signed by sm2sig_sm3.

Nothing else is offered or taken: the group and signature lists are set through pyOpenSSL's binding, because its own
set_tmp_ecdh pins no group. `check_connection` asserts after every handshake what was meant to be impossible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL, crypto
from OpenSSL._util import lib as _lib

from sm_crypto.der import encode_private_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.x509 import Certificate, CertificateError, openssl_certificate, parse_certificate

SUITE: Final = "TLS_SM4_GCM_SM3"
GROUP: Final = "curveSM2"
SIGNATURE: Final = "sm2sig_sm3"
MAX_CHAIN_DEPTH: Final = 2
"""Department and root above a node."""


class TlsError(Exception):
    """A TLS context cannot be made, or a handshake ended with other parameters than the national ones."""


def server_context(key: PrivateKey, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> SSL.Context:
    """Return the context of the accepting side; `chain` is the node's certificate and those above it, leaf first.

    Raises TlsError when the key is not that of the first certificate, or this machine's OpenSSL lacks the suite.
    """
    return _context(SSL.TLS_SERVER_METHOD, key, chain, roots)


def client_context(key: PrivateKey, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> SSL.Context:
    """Return the context of the connecting side; arguments and errors as of server_context."""
    return _context(SSL.TLS_CLIENT_METHOD, key, chain, roots)


def check_connection(connection: SSL.Connection) -> Certificate:
    """Return the peer's certificate after a finished handshake; raise TlsError unless all of it was RFC 8998.

    In TLS 1.3 a key on curveSM2 can sign a handshake with sm2sig_sm3 only (RFC 8998, 3.2.1), so the peer's SM2 key
    is what shows the signature algorithm.
    """
    if connection.get_protocol_version() != SSL.TLS1_3_VERSION:
        raise TlsError(f"expected TLS 1.3, found {connection.get_protocol_version_name()}")
    suite, group = connection.get_cipher_name(), connection.get_group_name()
    if suite != SUITE:
        raise TlsError(f"expected the suite {SUITE}, found {suite}")
    if group is None or group.lower() != GROUP.lower():
        raise TlsError(f"expected the group {GROUP}, found {group}")
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        raise TlsError("expected a certificate of the peer, found none")
    try:
        return parse_certificate(certificate.public_bytes(Encoding.DER))
    except CertificateError as error:
        raise TlsError(f"expected a peer that signs with {SIGNATURE}: {error}") from None


def _context(method: int, key: PrivateKey, chain: Sequence[Certificate], roots: Sequence[Certificate]) -> SSL.Context:
    if not chain or chain[0].public_key != key.public_key:
        raise TlsError("expected a certificate chain that begins with the certificate of this key, found another")
    if not roots:
        raise TlsError("expected at least one root certificate, found none")
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    # Resumption would skip the certificates: a peer that was shut out must not come back with a ticket.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    _pin(context)
    leaf, *others = chain
    context.use_certificate(load_der_x509_certificate(leaf.der))
    for certificate in others:
        if not certificate.is_self_issued:
            context.add_extra_chain_cert(load_der_x509_certificate(certificate.der))
    _use_key(context, key)
    store = context.get_cert_store()
    assert store is not None
    for root in roots:
        store.add_cert(openssl_certificate(root))
    context.set_verify_depth(MAX_CHAIN_DEPTH)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


def _pin(context: SSL.Context) -> None:
    """Leave one suite, one group and one signature algorithm."""
    raw = context._context
    try:
        context.set_tls13_ciphersuites(SUITE.encode("ascii"))
        done = (
            _lib.SSL_CTX_set1_curves_list(raw, GROUP.encode("ascii")) == 1
            and _lib.SSL_CTX_set1_sigalgs_list(raw, SIGNATURE.encode("ascii")) == 1
        )
    except SSL.Error:
        done = False
    if not done:
        raise TlsError(f"{SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()} lacks {SUITE}, {GROUP} or {SIGNATURE}")


def _use_key(context: SSL.Context, key: PrivateKey) -> None:
    """Give the context its private key; pyOpenSSL's own call takes only keys that cryptography knows, which SM2 is not."""
    encoded = encode_private_key(key.to_bytes(), key.public_key)
    loaded = crypto.load_privatekey(crypto.FILETYPE_ASN1, encoded)
    if _lib.SSL_CTX_use_PrivateKey(context._context, loaded._pkey) != 1:
        raise TlsError("OpenSSL refused the private key")
    context.check_privatekey()
