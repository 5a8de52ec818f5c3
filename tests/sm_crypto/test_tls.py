"""TLS: the national handshake, and each other offer refused, over memory and over a real connection."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509 as generic
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto
from OpenSSL._util import lib

from sm_crypto import tls, x509
from sm_crypto.der import encode_private_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.x509 import Authority, Certificate, openssl_certificate

Identity = tuple[PrivateKey, list[Certificate]]
NOW_MS = int(time.time() * 1000)
DAY_MS = 24 * 60 * 60 * 1000


class Tree:
    """A root, a department below it, and nodes."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self._now_ms = now_ms
        self.root = x509.issue_root("Root", now_ms=now_ms)
        self.department = x509.issue_department(self.root, "11330100002489513F", "Department", now_ms=now_ms)

    def node(self, name: str, now_ms: int | None = None) -> Identity:
        key = PrivateKey.generate()
        leaf = x509.issue_node(self.department, name, key.public_key, now_ms=now_ms or self._now_ms)
        return key, [leaf, self.department.certificate]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


def shake_hands(client_context: SSL.Context, server_context: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """Run a handshake through memory until both sides are done; raises the first side's SSL.Error."""
    return shake(SSL.Connection(client_context, None), SSL.Connection(server_context, None))


def shake(client: SSL.Connection, server: SSL.Connection) -> tuple[SSL.Connection, SSL.Connection]:
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(10):
        for source, target in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                source.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                target.bio_write(source.bio_read(1 << 16))
    for side in (client, server):
        side.do_handshake()
    return client, server


def foreign_context(
    method: int,
    identity: Identity | None,
    *,
    suites: bytes = b"TLS_SM4_GCM_SM3",
    groups: bytes | None = b"curveSM2",
    signatures: bytes | None = b"sm2sig_sm3",
) -> SSL.Context:
    """A context of someone else, who takes any certificate and offers what is asked."""
    context = SSL.Context(method)
    context.set_tls13_ciphersuites(suites)
    if groups is not None:
        assert lib.SSL_CTX_set1_curves_list(context._context, groups) == 1
    if signatures is not None:
        assert lib.SSL_CTX_set1_sigalgs_list(context._context, signatures) == 1
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    if identity is not None:
        key, chain = identity
        loaded = crypto.load_privatekey(crypto.FILETYPE_ASN1, encode_private_key(key.to_bytes(), key.public_key))
        assert lib.SSL_CTX_use_certificate(context._context, openssl_certificate(chain[0])._x509) == 1
        assert lib.SSL_CTX_use_PrivateKey(context._context, loaded._pkey) == 1
        for certificate in chain[1:]:
            context.add_extra_chain_cert(generic.load_der_x509_certificate(certificate.der))
    return context


def use_p256(context: SSL.Context) -> SSL.Context:
    """Give the context a self-signed certificate of a NIST P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = generic.Name([generic.NameAttribute(generic.NameOID.COMMON_NAME, "p256")])
    now = datetime.now(UTC)
    builder = generic.CertificateBuilder(name, name, key.public_key(), generic.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    context.use_certificate(builder.sign(key, hashes.SHA256()))
    context.use_privatekey(key)
    return context


def own_context(tree: Tree, role: str, name: str = "own") -> SSL.Context:
    make = tls.client_context if role == "client" else tls.server_context
    return make(*tree.node(name), [tree.root.certificate])


def meet(tree: Tree, own_role: str, other: Callable[[int], SSL.Context]) -> tuple[SSL.Connection, SSL.Connection]:
    """Shake hands between our context in one role and the other's in the other; return (own side, other side)."""
    own = own_context(tree, own_role)
    if own_role == "client":
        client, server = shake_hands(own, other(SSL.TLS_SERVER_METHOD))
        return client, server
    client, server = shake_hands(other(SSL.TLS_CLIENT_METHOD), own)
    return server, client


def test_two_nodes_meet(tree: Tree) -> None:
    client, server = shake_hands(own_context(tree, "client", "node1"), own_context(tree, "server", "node2"))
    assert tls.check_connection(client).common_name == "node2"
    assert tls.check_connection(server).common_name == "node1"
    assert client.get_cipher_name() == "TLS_SM4_GCM_SM3"
    assert client.get_group_name() == "curveSM2"
    client.send(b"frame")
    server.bio_write(client.bio_read(1 << 16))
    assert server.recv(100) == b"frame"


def test_two_nodes_meet_over_a_real_connection(tree: Tree) -> None:
    server_context = own_context(tree, "server", "node2")
    heard: list[str | bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                connection = SSL.Connection(server_context, accepted)
                connection.set_accept_state()
                connection.do_handshake()
                heard.append(tls.check_connection(connection).common_name)
                heard.append(connection.recv(100))
                connection.sendall(b"pong")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with socket.create_connection(listener.getsockname()) as plain:
            connection = SSL.Connection(own_context(tree, "client", "node1"), plain)
            connection.set_connect_state()
            connection.do_handshake()
            assert tls.check_connection(connection).common_name == "node2"
            connection.sendall(b"ping")
            assert connection.recv(100) == b"pong"
        thread.join(10)
    assert heard == ["node1", b"ping"]


def test_openssls_command_line_is_no_peer(
    tree: Tree, openssl: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    """A real program that offers the usual suites is refused by the node, and learns so."""
    server_context = own_context(tree, "server")
    refused: list[SSL.Error] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                connection = SSL.Connection(server_context, accepted)
                connection.set_accept_state()
                try:
                    connection.do_handshake()
                except SSL.Error as error:
                    refused.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = listener.getsockname()
        done = openssl("s_client", "-connect", f"{host}:{port}", "-tls1_3")
        thread.join(10)
    assert len(refused) == 1
    assert done.returncode != 0


OTHER_OFFERS: dict[str, dict[str, bytes]] = {
    "suite AES": {"suites": b"TLS_AES_128_GCM_SHA256"},
    "suite ChaCha20": {"suites": b"TLS_CHACHA20_POLY1305_SHA256"},
    "group X25519": {"groups": b"X25519"},
    "group P-256": {"groups": b"P-256"},
    "group X25519MLKEM768": {"groups": b"X25519MLKEM768"},
    "signature ECDSA": {"signatures": b"ecdsa_secp256r1_sha256"},
    "signature RSA-PSS": {"signatures": b"rsa_pss_rsae_sha256"},
}


@pytest.mark.parametrize("offer", OTHER_OFFERS.values(), ids=OTHER_OFFERS.keys())
@pytest.mark.parametrize("own_role", ["client", "server"])
def test_another_offer_is_refused_at_the_handshake(tree: Tree, own_role: str, offer: dict[str, bytes]) -> None:
    identity = tree.node("other")
    with pytest.raises(SSL.Error):
        meet(tree, own_role, lambda method: foreign_context(method, identity, **offer))


@pytest.mark.parametrize("own_role", ["client", "server"])
def test_an_offer_that_includes_the_national_one_ends_in_it(tree: Tree, own_role: str) -> None:
    """Others first in the list, ours last: both sides still end with the national parameters."""
    own, _ = meet(
        tree,
        own_role,
        lambda method: foreign_context(
            method,
            tree.node("other"),
            suites=b"TLS_AES_256_GCM_SHA384:TLS_SM4_GCM_SM3",
            groups=b"X25519:curveSM2",
            signatures=b"ecdsa_secp256r1_sha256:sm2sig_sm3",
        ),
    )
    assert tls.check_connection(own).common_name == "other"


@pytest.mark.parametrize("own_role", ["client", "server"])
def test_a_peer_with_another_kind_of_key_is_refused(tree: Tree, own_role: str) -> None:
    with pytest.raises(SSL.Error):
        meet(tree, own_role, lambda method: use_p256(foreign_context(method, None, signatures=None)))


def test_a_client_without_a_certificate_is_refused(tree: Tree) -> None:
    with pytest.raises(SSL.Error):
        meet(tree, "server", lambda method: foreign_context(method, None))


@pytest.mark.parametrize("own_role", ["client", "server"])
def test_a_peer_of_another_root_is_refused(tree: Tree, own_role: str) -> None:
    stranger = Tree()
    with pytest.raises(SSL.Error, match=r"certificate|unknown ca"):
        meet(tree, own_role, lambda method: foreign_context(method, stranger.node("other")))


@pytest.mark.parametrize("own_role", ["client", "server"])
def test_an_expired_peer_is_refused(tree: Tree, own_role: str) -> None:
    old = tree.node("other", NOW_MS - (x509.LEAF_DAYS + 2) * DAY_MS)
    with pytest.raises(SSL.Error, match="certificate"):
        meet(tree, own_role, lambda method: foreign_context(method, old))


def test_a_person_is_no_server(tree: Tree) -> None:
    key = PrivateKey.generate()
    person = x509.issue_person(tree.department, "clerk", key.public_key, now_ms=NOW_MS)
    identity = (key, [person, tree.department.certificate])
    with pytest.raises(SSL.Error, match="certificate"):
        meet(tree, "client", lambda method: foreign_context(method, identity))


@pytest.mark.parametrize("own_role", ["client", "server"])
def test_older_versions_are_refused(tree: Tree, own_role: str) -> None:
    def old(method: int) -> SSL.Context:
        context = use_p256(foreign_context(method, None, groups=None, signatures=None))
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        return context

    with pytest.raises(SSL.Error):
        meet(tree, own_role, old)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suites": b"TLS_AES_128_GCM_SHA256"}, "expected the suite TLS_SM4_GCM_SM3, found TLS_AES_128_GCM_SHA256"),
        ({"groups": b"X25519"}, "expected the group curveSM2, found"),
        ({"groups": None}, "expected the group curveSM2, found"),
    ],
)
def test_the_check_after_the_handshake_sees_what_pinning_would_stop(
    tree: Tree, changes: dict[str, bytes | None], message: str
) -> None:
    client, server = shake_hands(
        foreign_context(SSL.TLS_CLIENT_METHOD, tree.node("a"), **changes),  # type: ignore[arg-type]
        foreign_context(SSL.TLS_SERVER_METHOD, tree.node("b"), **changes),  # type: ignore[arg-type]
    )
    for side in (client, server):
        with pytest.raises(tls.TlsError, match=message):
            tls.check_connection(side)


def test_the_check_after_the_handshake_sees_another_signature_and_version() -> None:
    for version, message in (
        (SSL.TLS1_3_VERSION, "sm2sig_sm3"),
        (SSL.TLS1_2_VERSION, "expected TLS 1.3, found TLSv1.2"),
    ):
        groups = b"curveSM2" if version == SSL.TLS1_3_VERSION else None
        client_context = foreign_context(SSL.TLS_CLIENT_METHOD, None, groups=groups, signatures=None)
        server_context = use_p256(foreign_context(SSL.TLS_SERVER_METHOD, None, groups=groups, signatures=None))
        server_context.set_max_proto_version(version)
        client, server = shake_hands(client_context, server_context)
        with pytest.raises(tls.TlsError, match=message):
            tls.check_connection(client)
        with pytest.raises(tls.TlsError):
            tls.check_connection(server)


def test_no_ticket_lets_a_peer_back(tree: Tree) -> None:
    """Every connection proves its certificate again."""
    client, server = shake_hands(own_context(tree, "client"), own_context(tree, "server"))
    server.send(b"x")
    client.bio_write(server.bio_read(1 << 16))
    assert client.recv(10) == b"x"
    session = client.get_session()
    assert session is not None
    again = SSL.Connection(client.get_context(), None)
    again.set_session(session)
    _, fresh = shake(again, SSL.Connection(server.get_context(), None))
    assert tls.check_connection(fresh).common_name == "own"
    assert lib.SSL_session_reused(fresh._ssl) == 0


def test_contexts_name_what_is_wrong(tree: Tree) -> None:
    key, chain = tree.node("own")
    for make in (tls.client_context, tls.server_context):
        with pytest.raises(tls.TlsError, match="begins with the certificate of this key"):
            make(PrivateKey.generate(), chain, [tree.root.certificate])
        with pytest.raises(tls.TlsError, match="begins with the certificate of this key"):
            make(key, [], [tree.root.certificate])
        with pytest.raises(tls.TlsError, match="at least one root"):
            make(key, chain, [])


def test_an_openssl_without_the_suite_is_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "SIGNATURE", "no_such_signature")
    with pytest.raises(tls.TlsError, match="lacks TLS_SM4_GCM_SM3, curveSM2 or no_such_signature"):
        own_context(tree, "client")


def test_an_authority_signs_for_its_own_network_only(tree: Tree) -> None:
    """A department certificate itself, used as a node's, is refused: it is no server and no client."""
    key, chain = tree.department.key, [tree.department.certificate]
    with pytest.raises(SSL.Error, match="certificate"):
        meet(tree, "client", lambda method: foreign_context(method, (key, chain)))


def test_authority_shows_no_key(root: Authority) -> None:
    assert root.key.to_bytes().hex() not in repr(root)
