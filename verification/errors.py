"""Errors that name their reason and say it in both languages."""

from __future__ import annotations

from typing import Any


class GovnodeError(Exception):
    """Base of the errors that name a reason: `code` names the reason; the texts say what was expected, what was found and what to do."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        """Keep the reason; each text is one line, and the two are the same where there is only one."""
        super().__init__(zh if zh == en else f"{zh} / {en}")
        self.code = code
        self.zh = zh
        self.en = en

    @property
    def details(self) -> dict[str, Any]:
        """What a program wants to know beside code and texts, in JSON's types."""
        return {}


class InputError(GovnodeError):
    """A file or value given by the caller is not of the expected form."""
