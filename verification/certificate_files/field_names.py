"""What the fields of GB/T 36903 are called for people; an issuer names others in words of its own."""

from __future__ import annotations

from typing import Final

FIELD_NAMES: Final[dict[str, tuple[str, str]]] = {
    "ZZBH": ("证照编号", "Number"),
    "CZZT": ("持证主体", "Holder"),
    "CZZTDM": ("持证主体代码", "Holder's code"),
    "CZZTDMLX": ("持证主体代码类型", "Kind of code"),
    "CZZTDMLXDM": ("持证主体代码类型代码", "Code of that kind"),
}
"""In Chinese and English, by the names in documents."""


def field_label(name: str) -> str:
    """Return what a field is called in both languages; a name in the issuer's own words as it is."""
    words = FIELD_NAMES.get(name)
    return name if words is None else " / ".join(words)
