"""Errors that name their reason and say it in both languages."""

from __future__ import annotations

from typing import Any, Final

from verification.shown_text import shown_line

MAX_ERROR_TEXT: Final = 4_000
"""Of each text, in characters."""


class GovnodeError(Exception):
    """Base of the errors that name a reason: `code` names the reason; the texts say what was expected, what was found and what to do."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        """Keep the reason; each text is one line, and the two are the same where there is only one.

        They may be a node's or a service's words, of whatever type, and are kept as they may be shown.
        """
        self.code, self.zh, self.en = (shown_line(text, MAX_ERROR_TEXT) for text in (code, zh, en))
        super().__init__(self.zh if self.zh == self.en else f"{self.zh} / {self.en}")

    @property
    def details(self) -> dict[str, Any]:
        """What a program wants to know beside code and texts, in JSON's types."""
        return {}


class InputError(GovnodeError):
    """A file or value given by the caller is not of the expected form."""
