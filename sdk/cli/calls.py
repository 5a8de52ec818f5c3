"""Commands that submit one call: signed, waited for, and printed with where it stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sdk.cli.options import key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show


class Access(NamedTuple):
    """What every command that submits a call is told: the node to ask, the key and its password's file, whether to print JSON."""

    url: str
    key: Path
    password_file: Path | None
    as_json: bool


def call_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --url, --key, --password-file and --json, which the command receives as one `access`."""

    @url_option
    @key_options
    @json_option
    @functools.wraps(command)
    def receive(*, url: str, key: Path, password_file: Path | None, as_json: bool, **given: Any) -> Any:
        return command(access=Access(url, key, password_file, as_json), **given)

    return receive


def submit(
    access: tuple[str, Path, Path | None, bool],
    contract: str,
    method: str,
    arguments: dict[str, Any],
    done: tuple[str, str | Callable[[Any], str]],
) -> None:
    """Submit a call and print that it is done: `done` is what was done, in both languages, and to what.

    The latter may be made of what the call returned. `access` is the node's URL, the key file, the file of its password, and
    whether to print JSON. Raises CallRefused.
    """
    from sdk.system_contracts.answer import returned

    url, key, password_file, as_json = access
    with open_client(url, key, password_file) as client:
        receipt = client.call(contract, method, **arguments)
    text, subject = done
    named = subject if isinstance(subject, str) else subject(returned(contract, method, receipt))
    result = {"subject": named, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    show(result, as_json, fields([(text, named), ("区块 / block", receipt.height)]))
