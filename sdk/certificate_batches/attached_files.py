"""Files that rows attach to their certificates: found beside the table, and known by size and SM3."""

from __future__ import annotations

import hashlib
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

from verification.certificate_files.document import MAX_ATTACHMENT_BYTES, Attachment, FileDigest
from verification.errors import InputError
from verification.reasons import decoding_reason, system_reason

# A table of our own: the system's differs from machine to machine, and the media type is part of what is signed.
MEDIA_TYPES: Final = {
    ".ofd": "application/ofd",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".xml": "application/xml",
    ".json": "application/json",
    ".zip": "application/zip",
}
OTHER_MEDIA_TYPE: Final = "application/octet-stream"
_READ_BYTES: Final = 1 << 20


def read_attachment(folder: Path, name: str, text: str) -> Attachment:
    """Return the file that a row names, relative to the table's folder and inside it, as an attachment called `name`.

    Raises InputError ATTACHMENT_OUTSIDE or ATTACHMENT_UNREADABLE.
    """
    named = Path(text)
    if named.is_absolute() or ".." in named.parts:
        raise InputError(
            "ATTACHMENT_OUTSIDE",
            "附件应以相对路径给出，并位于表格所在文件夹之内",
            "expected an attachment by a relative path, inside the table's folder",
        )
    path = folder / named
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a file")
        digest = _digest(path, found.st_size, found.st_mtime_ns)
    except (OSError, ValueError) as error:
        zh, en = system_reason(error) if isinstance(error, OSError) else decoding_reason(error)
        raise InputError(
            "ATTACHMENT_UNREADABLE", f"附件无法读取（{zh}）", f"the attachment cannot be read ({en})"
        ) from None
    return Attachment(name, MEDIA_TYPES.get(path.suffix.lower(), OTHER_MEDIA_TYPE), digest)


# One file is often attached to every row, such as the conditions of a permit.
@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed_ns: int) -> FileDigest:
    """Return size and SM3 of a file as it was at a time; raise OSError."""
    state, read = hashlib.new("sm3"), 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            state.update(block)
            read += len(block)
    if read != size or read > MAX_ATTACHMENT_BYTES:
        raise OSError(0, f"{read} bytes")
    return FileDigest(read, state.hexdigest())
