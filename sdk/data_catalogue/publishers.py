"""Keys of publishers in a folder: which of them acts for which department, and a client that signs with each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from contracts.accounts import PUBLISHER, address_of_key
from node.config import read_password_file
from sdk.client import Client
from sdk.errors import RequestRefused
from sm_crypto.keystore import load_key, load_public_key
from verification.errors import InputError

MAX_KEYS: Final = 1_000
KEY_SUFFIX: Final = ".key"
PASSWORD_SUFFIX: Final = ".password"  # noqa: S105 - the ending of a file's name, not a password


@contextmanager
def open_publishers(client: Client, folder: Path, departments: Collection[str]) -> Iterator[dict[str, Client]]:
    """Yield a client for each of the departments that an account with the role publisher acts for, whose key lies in the folder.

    The password of NAME.key is in NAME.password beside it. Only keys that are used are opened. Raises InputError KEYS_MISSING
    where the folder has no key file.
    """
    paths = sorted(path for path in folder.glob(f"*{KEY_SUFFIX}") if path.is_file())
    if not paths or len(paths) > MAX_KEYS:
        raise InputError(
            "KEYS_MISSING",
            f"{folder} 中应有 1 至 {MAX_KEYS} 个 *{KEY_SUFFIX} 密钥文件，实有 {len(paths)} 个",
            f"expected 1 to {MAX_KEYS} key files *{KEY_SUFFIX} in {folder}, found {len(paths)}",
        )
    with ExitStack() as stack:
        clients: dict[str, Client] = {}
        for path in paths:
            department = _department_of(client, path)
            if department in departments and department not in clients:
                password = read_password_file(path.with_suffix(PASSWORD_SUFFIX))
                clients[department] = stack.enter_context(Client(client.url, load_key(path, password)))
        yield clients


def _department_of(client: Client, path: Path) -> str:
    """Return the department whose publisher a key is, empty where it is none's."""
    try:
        account = client.view("members", "account", account=address_of_key(load_public_key(path)))
    except RequestRefused:
        return ""
    is_publisher = PUBLISHER in account["roles"] and not account["removed_ms"]
    return str(account["department"]) if is_publisher else ""
