"""The process that looks for QR codes in one picture or PDF, and ends: files from strangers are decoded nowhere else.

It reads the file from standard input and writes what it found to standard output (explorer/code_reader.py starts it). Before it looks
at the file it gives up what it does not need: the system then refuses it everything but to compute within the limits here, to write
its answer and to end. Whoever takes it over through a fault of a decoder has that, and one file. Where there is no filter of system
calls the limits alone hold, and the answer says so (docs/spec/codes.md).
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from explorer.child_process import lower_limits
from node.process_guard import end_with_parent, forbid_reading_memory, keep_only_computing

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS: Final = 50_000_000
"""Of a picture: the largest that common telephones make."""
MAX_MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Of address space."""
MAX_PROCESSOR_S: Final = 8
MAX_PDF_PAGES: Final = 8
"""How many pages are looked at, from the first."""
MAX_PAGE_PIXELS: Final = 9_000_000
"""A page is drawn at 300 dots an inch, or at what gives so many."""
MAX_CODES: Final = 16
MAX_TEXT: Final = 7_089
"""Characters of the largest code there is, all of them digits (ISO/IEC 18004)."""
SMALL_PIXELS: Final = 2_000_000

Kind: TypeAlias = Literal["PNG", "JPEG", "WEBP", "PDF"]


class Found(msgspec.Struct, frozen=True):
    """What became of one file: the texts of its codes, or the code of what is wrong with it; and whether a filter was set before."""

    texts: tuple[str, ...] = ()
    fault: str = ""
    is_filtered: bool = False


def file_kind(raw: bytes) -> Kind | None:
    """Return what kind of picture or document a file says it is, by its first bytes; None for any other."""
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return "WEBP"
    return "PDF" if raw.startswith(b"%PDF-") else None


def find_codes(raw: bytes) -> Found:
    """Return what codes a file shows; the limits of the process are the caller's to set."""
    kind = file_kind(raw)
    if kind is None:
        return Found(fault="IMAGE_KIND_UNKNOWN")
    try:
        texts: dict[str, None] = {}
        for picture in _pages(raw) if kind == "PDF" else _pictures(raw, kind):
            texts |= dict.fromkeys(_read(picture))
        return Found(tuple(texts)[:MAX_CODES])
    except _TooLarge:
        return Found(fault="IMAGE_TOO_LARGE")
    except MemoryError:
        return Found(fault="IMAGE_TOO_HARD")
    except Exception:  # noqa: BLE001 - decoders raise whatever they like at a damaged file, and the process ends with it
        return Found(fault="IMAGE_UNREADABLE")


class _TooLarge(Exception):
    """The picture has more pixels than are looked at."""


def _pictures(raw: bytes, kind: str) -> Iterator[Image.Image]:
    from PIL import Image

    with Image.open(BytesIO(raw), formats=[kind]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _TooLarge
        if not image.has_transparency_data:
            yield image.convert("L")
            return
        # What is transparent shows as paper.
        paper = Image.new("RGBA", image.size, "white")
        yield Image.alpha_composite(paper, image.convert("RGBA")).convert("L")


def _pages(raw: bytes) -> Iterator[Image.Image]:
    import pypdfium2

    document = pypdfium2.PdfDocument(raw)
    for number in range(min(len(document), MAX_PDF_PAGES)):
        page = document[number]
        width, height = page.get_size()
        scale = min(300 / 72, (MAX_PAGE_PIXELS / max(1.0, width * height)) ** 0.5)
        yield page.render(scale=scale, grayscale=True).to_pil().convert("L")


def _read(picture: Image.Image) -> list[str]:
    """Return the texts of the QR codes in a grey picture: as it is, then as it shows more where light or focus were poor."""
    import zxingcpp

    for attempt in _attempts(picture):
        # The view points into the pixels and does not keep them.
        pixels = attempt.tobytes()
        found = zxingcpp.read_barcodes(
            zxingcpp.ImageView(pixels, attempt.width, attempt.height, zxingcpp.ImageFormat.Lum),
            formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
            text_mode=zxingcpp.TextMode.Plain,
        )
        if texts := [one.text for one in found if 0 < len(one.text) <= MAX_TEXT]:
            return texts
    return []


def _attempts(picture: Image.Image) -> Iterator[Image.Image]:
    from PIL import ImageFilter, ImageOps

    yield picture
    even = ImageOps.autocontrast(picture, cutoff=2)
    yield even.filter(ImageFilter.GaussianBlur(1.5))
    if picture.width * picture.height <= SMALL_PIXELS:
        double = (2 * picture.width, 2 * picture.height)
        yield even.resize(double).filter(ImageFilter.UnsharpMask(radius=4, percent=200))
    half = (max(1, picture.width // 2), max(1, picture.height // 2))
    yield even.resize(half)


def _load_decoders(kind: Kind | None) -> None:
    """Load what a file of this kind needs: no file can be opened afterwards."""
    import zxingcpp  # noqa: F401
    from PIL import Image, ImageFilter, ImageOps  # noqa: F401

    Image.preinit()
    # The pixels are counted by this module, under its own limit.
    Image.MAX_IMAGE_PIXELS = None
    if kind == "WEBP":
        from PIL import WebPImagePlugin  # noqa: F401
    if kind == "PDF":
        import pypdfium2  # noqa: F401


def _confine() -> bool:
    """Give up what looking at a picture does not need, for good; return whether that includes system calls."""
    limits = {
        resource.RLIMIT_AS: MAX_MEMORY_BYTES,
        resource.RLIMIT_CPU: MAX_PROCESSOR_S,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    lower_limits(limits)
    forbid_reading_memory()
    # Last: it refuses all of the above.
    return keep_only_computing()


def main() -> None:
    """Read a file from standard input and write to standard output what was found in it, as MessagePack."""
    end_with_parent()
    raw = sys.stdin.buffer.read()
    _load_decoders(file_kind(raw))
    is_filtered = _confine()
    found = msgspec.structs.replace(find_codes(raw), is_filtered=is_filtered)
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    sys.stdout.buffer.flush()
    # The interpreter's own end would try what is refused.
    os._exit(0)


if __name__ == "__main__":
    main()
