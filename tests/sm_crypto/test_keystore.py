"""Key files: what opens, what does not, and that each refusal says what to do."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sm_crypto.keystore import (
    DEFAULT_ITERATIONS,
    MIN_ITERATIONS,
    KeyFileError,
    WrongPassword,
    load_key,
    load_private_key,
    load_public_key,
    save_key,
)
from sm_crypto.sm2 import PrivateKey, verify
from sm_crypto.sm3 import sm3

PASSWORD = "口令 password".encode()


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def path(tmp_path: Path, key: PrivateKey) -> Path:
    path = tmp_path / "clerk.key"
    save_key(path, key, PASSWORD, iterations=MIN_ITERATIONS)
    return path


def rewrite(path: Path, **fields: object) -> None:
    """Change fields and mend the checksum, as one would who forges a key file."""
    record = json.loads(path.read_bytes()) | fields | {"checksum": ""}
    record["checksum"] = sm3(json.dumps(record, separators=(",", ":")).encode()).hex()
    path.write_text(json.dumps(record))


def test_a_saved_key_opens_with_its_password(path: Path, key: PrivateKey) -> None:
    signer = load_key(path, PASSWORD)
    assert signer.public_key == key.public_key == load_public_key(path)
    assert signer.address == sm3(key.public_key)[-20:]
    verify(key.public_key, b"message", signer.sign(b"message"))
    assert load_private_key(path, PASSWORD).to_bytes() == key.to_bytes()


def test_the_file_shows_no_secret_and_belongs_to_its_owner(path: Path, key: PrivateKey) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert key.to_bytes().hex() not in text.lower()
    assert key.to_bytes().hex() not in repr(load_key(path, PASSWORD))


def test_the_default_strength(tmp_path: Path, key: PrivateKey) -> None:
    save_key(tmp_path / "strong.key", key, PASSWORD)
    assert DEFAULT_ITERATIONS == 600_000
    assert json.loads((tmp_path / "strong.key").read_text())["iterations"] == DEFAULT_ITERATIONS
    assert load_key(tmp_path / "strong.key", PASSWORD).public_key == key.public_key


@pytest.mark.parametrize("password", [b"password", PASSWORD + b" ", b"", b"x" * 1025])
def test_a_wrong_password_is_named(path: Path, password: bytes) -> None:
    with pytest.raises(WrongPassword, match=r"口令.* / .*password"):
        load_key(path, password)


def test_an_empty_password_saves_nothing(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(WrongPassword, match="password of 1 to"):
        save_key(tmp_path / "a.key", key, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o700])
def test_wide_permissions_are_named(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"{mode:04o}: run chmod 600"):
        load_key(path, PASSWORD)


def test_an_owner_may_read_only(path: Path, key: PrivateKey) -> None:
    path.chmod(0o400)
    assert load_key(path, PASSWORD).public_key == key.public_key


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read the key file .*absent\.key: No such file"):
        load_key(tmp_path / "absent.key", PASSWORD)
    with pytest.raises(KeyFileError, match="cannot read the key file"):
        load_key(tmp_path, PASSWORD)


def test_a_key_file_is_never_overwritten(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="cannot create the key file"):
        save_key(path, PrivateKey.generate(), PASSWORD, iterations=MIN_ITERATIONS)
    assert path.read_bytes() == before
    with pytest.raises(KeyFileError, match="cannot create the key file"):
        save_key(tmp_path / "absent" / "a.key", PrivateKey.generate(), PASSWORD, iterations=MIN_ITERATIONS)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        save_key(tmp_path / "a.key", key, PASSWORD, iterations=MIN_ITERATIONS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"\xff\xfe", b"[" * 3000, b'{"format":"govnode-key/2"}', b" " * 5000]
)
def test_other_files_are_named_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"is damaged .*restore it from a backup") as refusal:
        load_key(path, PASSWORD)
    assert not isinstance(refusal.value, WrongPassword)


@pytest.mark.parametrize("name", ["public_key", "salt", "nonce", "sealed", "checksum", "iterations"])
def test_a_damaged_field_is_no_wrong_password(path: Path, name: str) -> None:
    record = json.loads(path.read_text())
    value = record[name]
    record[name] = value + 1 if isinstance(value, int) else ("1" if value[0] == "0" else "0") + value[1:]
    path.write_text(json.dumps(record))
    with pytest.raises(KeyFileError, match="checksum") as refusal:
        load_key(path, PASSWORD)
    assert not isinstance(refusal.value, WrongPassword)


def test_a_forged_field_does_not_open(path: Path, tmp_path: Path) -> None:
    """The seal binds all fields: the public key of a file cannot be swapped for another."""
    other = PrivateKey.generate().public_key.hex()
    rewrite(path, public_key=other)
    with pytest.raises(WrongPassword):
        load_key(path, PASSWORD)


@pytest.mark.parametrize("iterations", [0, -1, 999, 10_000_001, 2**63])
def test_iterations_have_limits(path: Path, tmp_path: Path, key: PrivateKey, iterations: int) -> None:
    rewrite(path, iterations=iterations)
    with pytest.raises(KeyFileError, match="is damaged"):
        load_key(path, PASSWORD)
    with pytest.raises(ValueError, match="iterations"):
        save_key(tmp_path / "b.key", key, PASSWORD, iterations=iterations)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_is_the_same_key_or_refused(path: Path, key: PrivateKey, data: st.DataObject) -> None:
    original = path.read_bytes()
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 8)))
    path.write_bytes(original[:start] + data.draw(st.binary(max_size=4)) + original[end:])
    try:
        assert load_key(path, PASSWORD).public_key == key.public_key
    except KeyFileError:
        pass
    finally:
        path.write_bytes(original)
