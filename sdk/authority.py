"""A department's authority: its key stays with the department, its certificate comes from the holder of the network's root."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from contracts.members import verify_department
from contracts.refusals import Refused
from node.chain.genesis import Genesis
from node.config import read_password_file
from node.genesis_file import load_genesis
from sdk.documents import read_limited
from sdk.joining import DepartmentRequest, check_network, make_department_request
from sdk.secret_files import SECRET_FOLDER_MODE, make_password, write_secret
from sm_crypto import x509
from sm_crypto.keystore import DEFAULT_ITERATIONS, Signer, load_private_key, load_public_key, save_key
from sm_crypto.sm2 import PrivateKey
from verification.errors import InputError
from verification.holders import HOLDER_SECRET_SIZE


def load_network_genesis(folder: Path) -> Genesis:
    """Return the genesis in the folder of a network; raise InputError where there is none."""
    if not (folder / "genesis.json").is_file():
        raise InputError(
            "NOT_A_NETWORK",
            f"{folder} 中没有 genesis.json，请指明 govnode network init 所建的文件夹，或放入本网络 genesis.json 的文件夹",
            f"there is no genesis.json in {folder}; name the folder that govnode network init made, or one that the "
            "network's genesis.json was put into",
        )
    return load_genesis(folder / "genesis.json")


def load_authority(folder: Path, department: str) -> x509.Authority:
    """Return the department's authority as the folder keeps it, checked against the root in the genesis."""
    genesis = load_network_genesis(folder)
    kept = folder / "authority"
    known = sorted(path.name.removesuffix(".crt.pem") for path in kept.glob("*.crt.pem") if path.name != "root.crt.pem")
    if department not in known or not (kept / f"{department}.key").is_file():
        raise InputError(
            "DEPARTMENT_UNKNOWN",
            f"{kept} 中没有部门 {department} 的证书与密钥，现有：{', '.join(known) or '无'}；"
            "新加入的部门请先执行 govnode department request",
            f"{kept} holds no certificate and key of department {department}; it holds those of: {', '.join(known) or 'none'}; "
            "a department that joins begins with govnode department request",
        )
    password = read_password_file(kept / "password")
    certificate = _load_issued(kept / f"{department}.crt.pem", genesis)
    return x509.Authority(certificate, load_private_key(kept / f"{department}.key", password))


def request_authority(
    folder: Path,
    code: str,
    name: str,
    region: str,
    level: str,
    parent: str,
    *,
    iterations: int = DEFAULT_ITERATIONS,
) -> DepartmentRequest:
    """Make a department's authority key in a folder that holds genesis.json and return the request to certify it.

    A key that is there already is used again; the department's secret for commitments to holders is made beside it. Raise
    InputError on what the ledger or a certificate would not take.
    """
    genesis = load_network_genesis(folder)
    try:
        verify_department(code, name, region, level, parent)
    except Refused as refused:
        raise InputError(refused.code, f"部门资料有误：{refused.texts[0]}", f"wrong: {refused.texts[1]}") from None
    if len(name) > x509.MAX_NAME_LENGTH:
        limit = x509.MAX_NAME_LENGTH
        raise InputError(
            "NAME_TOO_LONG",
            f"证书中的部门名称至多 {limit} 个字符，实为 {len(name)} 个",
            f"a department's name in a certificate has at most {limit} characters, found {len(name)}",
        )
    kept, accounts = folder / "authority", folder / "accounts"
    for made in (kept, accounts):
        made.mkdir(mode=SECRET_FOLDER_MODE, exist_ok=True)
    password_file, key_file, secret = kept / "password", kept / f"{code}.key", accounts / f"{code}.holder-secret"
    password = read_password_file(password_file) if password_file.exists() else make_password(password_file)
    if not key_file.exists():
        save_key(key_file, PrivateKey.generate(), password, iterations=iterations)
    if not secret.exists():
        write_secret(secret, secrets.token_bytes(HOLDER_SECRET_SIZE).hex())
    signer = Signer(load_private_key(key_file, password))
    return make_department_request(signer, genesis.hash, code, name, region, level, parent)


def certify_authority(folder: Path, request: DepartmentRequest, now_ms: int) -> x509.Certificate:
    """Return the certificate that the root in a network's folder gives to the authority that asks; raise InputError."""
    genesis = load_network_genesis(folder)
    check_network(request, genesis.hash)
    kept = folder / "authority"
    key_file = kept / "root.key"
    if not key_file.is_file():
        raise InputError(
            "ROOT_ABSENT",
            f"{kept} 中没有根密钥 root.key，请在保存它的机器上执行",
            f"there is no root.key in {kept}: do this on the machine that keeps it",
        )
    root = x509.parse_certificate(genesis.root_certificate)
    if load_public_key(key_file) != root.public_key:
        raise InputError(
            "ROOT_DIFFERS",
            f"{key_file} 不是本网络的根密钥",
            f"{key_file} is not the key of this network's root",
        )
    authority = x509.Authority(root, load_private_key(key_file, read_password_file(kept / "password")))
    public_key = bytes.fromhex(request.public_key)
    return x509.certify_department(authority, request.code, request.name, public_key, now_ms=now_ms)


def accept_certificate(folder: Path, path: Path, now_ms: int) -> x509.Certificate:
    """Keep the certificate that the root has given to an authority whose key is in the folder; raise InputError where it does not fit."""
    certificate = _load_issued(path, load_network_genesis(folder))
    code = certificate.organization_identifier
    kept = folder / "authority"
    key_file = kept / f"{code}.key"
    is_ours = "/" not in code and key_file.is_file() and load_public_key(key_file) == certificate.public_key
    if not is_ours or not certificate.is_authority:
        raise InputError(
            "CERTIFICATE_OF_ANOTHER",
            f"{path} 是 {certificate.common_name} {code} 的证书，与 {kept} 中的密钥不符",
            f"{path} is a certificate of {certificate.common_name} {code}, not of a key in {kept}",
        )
    if not certificate.not_before_ms <= now_ms < certificate.not_after_ms:
        raise InputError(
            "CERTIFICATE_EXPIRED", f"{path} 不在有效期内，请检查时钟", f"{path} is not valid now: check the clock"
        )
    fresh = kept / f".{code}.crt.pem"
    fresh.write_text(certificate.pem, encoding="ascii")
    os.replace(fresh, kept / f"{code}.crt.pem")
    return certificate


def certify_person(folder: Path, department: str, name: str, key_file: Path, now_ms: int) -> list[x509.Certificate]:
    """Return the certificate of a person who signs for a department by a key file's key, and the department's above it.

    The department's authority is in the folder. Raise InputError where it is not, or where the name does not serve.
    """
    authority = load_authority(folder, department)
    try:
        person = x509.issue_person(authority, name, load_public_key(key_file), now_ms=now_ms)
    except x509.CertificateError as error:
        raise InputError(
            "NAME_INVALID",
            f"签名人姓名应为 1 至 {x509.MAX_NAME_LENGTH} 个字符",
            f"the name of the person who signs does not serve: {error}",
        ) from None
    return [person, authority.certificate]


def _load_issued(path: Path, genesis: Genesis) -> x509.Certificate:
    """Return the certificate in a file, which the network's root has issued; raise InputError otherwise."""
    try:
        certificate = x509.load_certificates(read_limited(path, x509.MAX_PEM_BYTES))[0]
        x509.verify_issued_by(certificate, x509.parse_certificate(genesis.root_certificate))
    except x509.CertificateError as error:
        raise InputError(
            "AUTHORITY_INVALID",
            f"部门证书 {path.name} 不能用于本网络：{error}",
            f"the certificate {path.name} does not serve this network: {error}",
        ) from None
    return certificate
