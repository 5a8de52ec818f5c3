"""Files with personal data: readable by their owner only, in the place of no link, whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sdk.documents import private_file, write_new, write_private
from sdk.issuer import IssuedCertificate
from verification.errors import InputError


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    """Everybody may read what is made without saying otherwise."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_new(tmp_path / "copy.json", b"personal")
    write_private(tmp_path / "document.json", b"personal")
    IssuedCertificate("id", b"personal", b"proof").save(tmp_path / "d.json", tmp_path / "p.json")
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}
    with pytest.raises(InputError) as refused:
        write_new(tmp_path / "copy.json", b"another")
    assert refused.value.code == "FILE_EXISTS"


def test_an_older_file_is_replaced_and_no_longer_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_at_the_place_is_not_written_through(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    if exists:
        target.write_bytes(b"another's")
    link.symlink_to(target)
    for write, code in ((write_new, "FILE_EXISTS"), (write_private, "FILE_UNWRITABLE")):
        with pytest.raises(InputError) as refused:
            write(link, b"personal")
        assert refused.value.code == code
    assert link.is_symlink()
    assert target.exists() is exists
    assert not exists or target.read_bytes() == b"another's"


def test_a_device_or_a_folder_at_the_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", tmp_path / "none" / "file"):
        with pytest.raises(InputError) as refused:
            write_private(path, b"personal")
        assert refused.value.code == "FILE_UNWRITABLE"


def test_what_was_cut_off_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(b"old")

    def cut_off() -> None:
        with private_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
