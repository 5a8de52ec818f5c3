"""OpenSSL's command line takes our signatures, keys, ciphertexts and certificates, and we take its."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import core, pem

from sm_crypto import x509
from sm_crypto.der import (
    decode_public_key,
    decode_signature,
    encode_private_key,
    encode_public_key,
    encode_signature,
)
from sm_crypto.errors import InvalidSignature
from sm_crypto.sm2 import PrivateKey, encrypt, verify
from sm_crypto.x509 import Authority, Certificate, load_certificates, verify_chain

OpenSSL = Callable[..., subprocess.CompletedProcess[bytes]]
DISTINGUISHED_ID = "distid:1234567812345678"
NOW_MS = 1_785_000_000_000
NOW_S = str(NOW_MS // 1000)


class Sm2Ciphertext(core.Sequence):  # type: ignore[misc]
    """GM/T 0009, 7.2."""

    _fields = [  # noqa: RUF012 - asn1crypto completes the list
        ("x", core.Integer),
        ("y", core.Integer),
        ("hash", core.OctetString),
        ("text", core.OctetString),
    ]


@pytest.fixture
def key_files(tmp_path: Path, node_key: PrivateKey) -> tuple[Path, Path]:
    """Our key as PKCS #8 and its public half, as files."""
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    private.write_bytes(pem.armor("PRIVATE KEY", encode_private_key(node_key.to_bytes(), node_key.public_key)))
    public.write_bytes(pem.armor("PUBLIC KEY", encode_public_key(node_key.public_key)))
    return private, public


@pytest.mark.parametrize("user_id", [b"1234567812345678", b"ALICE123@YAHOO.COM"])
def test_it_takes_our_signature(
    openssl: OpenSSL, tmp_path: Path, key_files: tuple[Path, Path], node_key: PrivateKey, user_id: bytes
) -> None:
    signature = tmp_path / "signature"
    options = ["-sigopt", f"distid:{user_id.decode()}", "-verify", key_files[1], "-signature", signature]
    for message in (b"", b"message", bytes(range(256)) * 20):
        signature.write_bytes(encode_signature(node_key.sign(message, user_id)))
        assert openssl("dgst", "-sm3", *options, text=message).returncode == 0
        assert openssl("dgst", "-sm3", *options, text=message + b"x").returncode != 0


def test_we_take_its_signature(openssl: OpenSSL, key_files: tuple[Path, Path], node_key: PrivateKey) -> None:
    for message in (b"", b"message", bytes(32), bytes(range(256)) * 20):
        done = openssl("dgst", "-sm3", "-sigopt", DISTINGUISHED_ID, "-sign", key_files[0], text=message)
        signature = decode_signature(done.stdout)
        verify(node_key.public_key, message, signature)
        with pytest.raises(InvalidSignature):
            verify(node_key.public_key, message + b"x", signature)


def test_we_take_its_keys(openssl: OpenSSL, tmp_path: Path) -> None:
    private = tmp_path / "its.pem"
    assert openssl("ecparam", "-name", "SM2", "-genkey", "-noout", "-out", private).returncode == 0
    public_key = decode_public_key(openssl("pkey", "-in", private, "-pubout", "-outform", "DER").stdout)
    signature = openssl("dgst", "-sm3", "-sigopt", DISTINGUISHED_ID, "-sign", private, text=b"m").stdout
    verify(public_key, b"m", decode_signature(signature))


def test_it_reads_what_we_encrypt(openssl: OpenSSL, key_files: tuple[Path, Path], node_key: PrivateKey) -> None:
    for plaintext in (b"x", b"encryption standard", bytes(200)):
        raw = encrypt(node_key.public_key, plaintext)
        der = Sm2Ciphertext(
            {
                "x": int.from_bytes(raw[1:33], "big"),
                "y": int.from_bytes(raw[33:65], "big"),
                "hash": raw[65:97],
                "text": raw[97:],
            }
        ).dump()
        assert openssl("pkeyutl", "-decrypt", "-inkey", key_files[0], text=der).stdout == plaintext


def test_we_read_what_it_encrypts(openssl: OpenSSL, key_files: tuple[Path, Path], node_key: PrivateKey) -> None:
    for plaintext in (b"x", b"encryption standard", bytes(200)):
        done = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", key_files[1], text=plaintext)
        read = Sm2Ciphertext.load(done.stdout).native
        point = b"\x04" + read["x"].to_bytes(32, "big") + read["y"].to_bytes(32, "big")
        assert node_key.decrypt(point + read["hash"] + read["text"]) == plaintext


def test_it_takes_our_chain(
    openssl: OpenSSL, tmp_path: Path, root: Authority, department: Authority, node_certificate: Certificate
) -> None:
    """Link by link: -vfyopt reaches only the certificate that is verified, in OpenSSL 3.0 not those between."""
    for name, certificate in (
        ("root", root.certificate),
        ("department", department.certificate),
        ("node", node_certificate),
    ):
        (tmp_path / f"{name}.pem").write_text(certificate.pem)
    options = ["-x509_strict", "-attime", NOW_S, "-vfyopt", DISTINGUISHED_ID]
    links = (
        ["-CAfile", tmp_path / "root.pem", tmp_path / "root.pem"],
        ["-CAfile", tmp_path / "root.pem", tmp_path / "department.pem"],
        ["-partial_chain", "-purpose", "sslserver", "-trusted", tmp_path / "department.pem", tmp_path / "node.pem"],
        ["-partial_chain", "-purpose", "sslclient", "-trusted", tmp_path / "department.pem", tmp_path / "node.pem"],
    )
    for link in links:
        done = openssl("verify", *options, *link)
        assert done.returncode == 0, done.stderr
    wrong = ["-partial_chain", "-trusted", tmp_path / "root.pem", tmp_path / "node.pem"]
    assert openssl("verify", *options, *wrong).returncode != 0


def test_it_takes_a_leaf_under_a_root_in_one_command(openssl: OpenSSL, tmp_path: Path, root: Authority) -> None:
    leaf = x509.issue_node(root, "node9", PrivateKey.generate().public_key, now_ms=NOW_MS)
    (tmp_path / "root.pem").write_text(root.certificate.pem)
    (tmp_path / "leaf.pem").write_text(leaf.pem)
    options = ["-attime", NOW_S, "-CAfile", tmp_path / "root.pem", tmp_path / "leaf.pem"]
    assert openssl("verify", "-vfyopt", DISTINGUISHED_ID, *options).returncode == 0
    assert openssl("verify", "-vfyopt", "distid:another", *options).returncode != 0


def test_we_take_its_chain(openssl: OpenSSL, tmp_path: Path) -> None:
    for name in ("root", "leaf"):
        assert openssl("ecparam", "-name", "SM2", "-genkey", "-noout", "-out", tmp_path / f"{name}.key").returncode == 0
    made = openssl(
        "req", "-x509", "-new", "-sm3", "-key", tmp_path / "root.key", "-sigopt", DISTINGUISHED_ID, "-days", "30",
        "-subj", "/C=CN/CN=Their Root", "-addext", "keyUsage=critical,keyCertSign", "-out", tmp_path / "root.pem",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    made = openssl(
        "req", "-new", "-sm3", "-key", tmp_path / "leaf.key", "-sigopt", DISTINGUISHED_ID,
        "-subj", "/C=CN/CN=their node", "-out", tmp_path / "leaf.csr",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (tmp_path / "leaf.ext").write_text(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    made = openssl(
        "x509", "-req", "-sm3", "-in", tmp_path / "leaf.csr", "-CA", tmp_path / "root.pem", "-CAkey", tmp_path / "root.key",
        "-set_serial", "7", "-days", "30", "-sigopt", DISTINGUISHED_ID, "-vfyopt", DISTINGUISHED_ID,
        "-extfile", tmp_path / "leaf.ext", "-out", tmp_path / "leaf.pem",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (root,) = load_certificates((tmp_path / "root.pem").read_bytes())
    (leaf,) = load_certificates((tmp_path / "leaf.pem").read_bytes())
    assert leaf.common_name == "their node"
    assert root.is_authority
    verify_chain([leaf, root], [root], at_ms=leaf.not_before_ms + 1000)
