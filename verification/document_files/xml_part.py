"""The XML of an OFD part: elements, attributes and text under limits, without document types and entities.

expat comes with Python. A document type is refused where it begins, so that no entity is ever declared, expanded or fetched; with that
the known attacks on XML readers (entity expansion, external entities, external document types) have nothing to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

import msgspec

from verification.errors import InputError

MAX_XML_BYTES: Final = 4 * 1024 * 1024
MAX_XML_DEPTH: Final = 32
MAX_XML_ELEMENTS: Final = 100_000
MAX_XML_TEXT: Final = 4_096
"""Characters of text in one element; what is read here are locations, digests, names and times."""
OFD_NAMESPACE: Final = "http://www.ofdspec.org"
"""How the namespace begins; a year follows, 2016 in GB/T 33190-2016."""
_SEPARATOR: Final = " "


class Element(msgspec.Struct):
    """One element of the OFD namespace; elements of others are left out with all that is in them."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = msgspec.field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children with a name."""
        return (child for child in self.children if child.name == name)

    def first(self, *names: str) -> Element | None:
        """Return the first descendant along a path of names, or None."""
        found: Element | None = self
        for name in names:
            found = next(found.all(name), None) if found is not None else None
        return found

    def text_at(self, *names: str) -> str:
        """Return the text at a path of names without space around it, empty where nothing is there."""
        found = self.first(*names)
        return "" if found is None else found.text.strip()


def read_xml(name: str, raw: bytes, root: str) -> Element:
    """Return the root element of a part, which has to be called `root`; raise InputError XML_REFUSED otherwise."""
    if len(raw) > MAX_XML_BYTES:
        raise _refused(name, f"应不超过 {MAX_XML_BYTES} 字节", f"expected at most {MAX_XML_BYTES} bytes")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(name, "编码应为 UTF-8", "expected the encoding UTF-8") from None
    if b"\0" in raw:
        # expat would take it for UTF-16, whatever it is told.
        raise _refused(name, "编码应为 UTF-8", "expected the encoding UTF-8")
    builder = _Builder(name)
    # UTF-8 whatever the declaration says: GB/T 33190 asks for it, and a second reading of the same bytes must not be possible.
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.buffer_text = True
    parser.XmlDeclHandler = builder.declare
    parser.StartDoctypeDeclHandler = builder.refuse_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise _refused(name, f"不是格式良好的 XML（{error}）", f"not well-formed XML ({error})") from None
    found = builder.root
    if found is None or found.name != root:
        raise _refused(name, f"根元素应为 OFD 的 {root}", f"expected {root} of OFD's namespace as its root element")
    return found


def _refused(name: str, zh: str, en: str) -> InputError:
    return InputError("XML_REFUSED", f"部件 {name} 不予读取：{zh}", f"the part {name} is refused: {en}")


class _Builder:
    """Makes elements of expat's events, counting as it goes."""

    def __init__(self, name: str) -> None:
        self.root: Element | None = None
        self._name = name
        self._stack: list[Element | None] = []
        self._count = 0

    def declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8"):
            raise _refused(self._name, "编码应为 UTF-8", "expected the encoding UTF-8")

    def refuse_document_type(self, *_: object) -> None:
        raise _refused(self._name, "不接受文档类型声明（DTD）与实体", "document types and entities are not accepted")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_XML_ELEMENTS or len(self._stack) >= MAX_XML_DEPTH:
            raise _refused(
                self._name,
                f"应不超过 {MAX_XML_ELEMENTS} 个元素、{MAX_XML_DEPTH} 层",
                f"expected at most {MAX_XML_ELEMENTS} elements, {MAX_XML_DEPTH} within each other",
            )
        namespace, _, local = name.rpartition(_SEPARATOR)
        above = self._stack[-1] if self._stack else None
        is_ours = namespace.startswith(OFD_NAMESPACE) and (not self._stack or above is not None)
        element = Element(local, attributes) if is_ours else None
        if element is not None and above is not None:
            above.children.append(element)
        elif element is not None:
            self.root = element
        self._stack.append(element)

    def end(self, _name: str) -> None:
        self._stack.pop()

    def characters(self, text: str) -> None:
        element = self._stack[-1]
        if element is None:
            return
        if len(element.text) + len(text) > MAX_XML_TEXT:
            raise _refused(
                self._name,
                f"一个元素的文字应不超过 {MAX_XML_TEXT} 字",
                f"expected at most {MAX_XML_TEXT} characters of text in an element",
            )
        element.text += text
