"""Codes are read from photos as clerks make them, and files made to hurt the reader hurt nothing."""

from __future__ import annotations

import asyncio
import ctypes
import io
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageFilter

from contracts.identifiers import make_identifier
from explorer import code_reader
from explorer.child_process import run_child
from explorer.code_reader import MAX_PHOTO_BYTES, CodeReader, is_photo, read_photo, read_texts
from explorer.code_reading_process import MAX_PIXELS, Found, find_codes
from verification.codes import encode_base45, make_link
from verification.errors import InputError

IDENTIFIER = make_identifier("11100000MB03271699001", "11990100MB0000002X", "20260000001")
LINK = make_link("https://verify.example.cn", IDENTIFIER, b"\x12" * 32)
LARGE = "GN1:" + encode_base45(zlib.compress(bytes(range(256)) * 6, 0))
"""As long as a presentation's code is."""


def code_picture(text: str, scale: int = 8, error: str = "M") -> Image.Image:
    out = io.BytesIO()
    segno.make(text, error=error, boost_error=False).save(out, kind="png", scale=scale)
    return Image.open(out).convert("L")


def saved(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def photo(text: str, *, angle: float, blur: float, noise: float, lean: float, scale: int) -> Image.Image:
    """Return the code as it lies on a sheet that somebody photographed askew, out of focus and in poor light."""
    code = code_picture(text, scale)
    width = height = round(code.width * 1.3)
    sheet = Image.new("L", (width, height), 215)
    sheet.paste(
        code.point(lambda value: 60 + value * 150 // 255), ((width - code.width) // 2, (height - code.height) // 2)
    )
    # Farther away at one edge than at the other: the plane's mapping about its centre.
    slope, near = lean / height, 1 - lean / 2
    plane = (1, width / 2 * slope, -width * lean / 4, 0, 1 + lean / 2, -height * lean / 4, 0, slope)
    coefficients = [value / near for value in plane]
    sheet = sheet.transform(
        sheet.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC, fillcolor=110
    )
    sheet = sheet.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=110)
    sheet = sheet.filter(ImageFilter.GaussianBlur(blur))
    grain = Image.frombytes("L", sheet.size, Random(7).randbytes(sheet.width * sheet.height))
    return ImageChops.add(sheet, grain.point(lambda value: round(128 + (value - 128) * noise / 128)), offset=-128)


@pytest.mark.parametrize(
    "distortion",
    [
        {"angle": 0, "blur": 2.0, "noise": 5, "lean": 0},
        {"angle": 17, "blur": 1, "noise": 25, "lean": 0},
        {"angle": 200, "blur": 1.5, "noise": 15, "lean": 0.3},
        {"angle": 91, "blur": 0.5, "noise": 50, "lean": 0.1},
    ],
    ids=["blurred", "turned", "in perspective", "noisy"],
)
@pytest.mark.parametrize("text", [LINK.text, LARGE], ids=["link", "presentation"])
def test_a_photo_is_read(text: str, distortion: dict[str, float]) -> None:
    picture = photo(text, **distortion, scale=8 if text == LINK.text else 6)
    assert find_codes(saved(picture, "JPEG")) == Found((text,))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "PDF"])
def test_every_kind_of_file_is_read_in_the_process(kind: str) -> None:
    raw = saved(code_picture(LINK.text).convert("RGB"), kind)
    assert is_photo(raw)
    assert read_photo(raw) == LINK


def test_a_picture_with_transparency_is_read_on_paper() -> None:
    code = code_picture(LINK.text)
    see_through = Image.new("RGBA", code.size, (0, 0, 0, 0))
    see_through.paste((0, 0, 0, 255), mask=ImageChops.invert(code))
    assert find_codes(saved(see_through, "PNG")) == Found((LINK.text,))


def beside(*texts: str) -> bytes:
    codes = [code_picture(text, 5) for text in texts]
    sheet = Image.new("L", (sum(code.width for code in codes), max(code.height for code in codes)), 255)
    at = 0
    for code in codes:
        sheet.paste(code, (at, 0))
        at += code.width
    return saved(sheet, "PNG")


def test_others_codes_on_a_sheet_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_reader, "read_texts", lambda raw: find_codes(raw).texts)
    another = make_link(
        "https://verify.example.cn", make_identifier("11100000MB03271699001", "11990100MB0000002X", "7")
    )
    assert read_photo(beside("HTTPS://EXAMPLE.CN/PAY", LINK.text)) == LINK
    for raw, code in (
        (beside("HTTPS://EXAMPLE.CN/PAY", "HELLO"), "CODE_UNKNOWN"),
        (beside("HTTPS://EXAMPLE.CN/PAY", "GN1:ABC"), "CODE_MALFORMED"),
        (beside(LINK.text, another.text), "CODES_SEVERAL"),
    ):
        with pytest.raises(InputError) as caught:
            read_photo(raw)
        assert caught.value.code == code


def fault(raw: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read_texts(raw)
    return caught.value.code


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG of few bytes that unfolds to width x height pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(min(50_000_000, (width // 8 + 1) * height)), 9)),
        (b"IEND", b""),
    ]
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_files_that_cannot_be_read_are_told_apart() -> None:
    assert fault(b"GIF89a") == "IMAGE_KIND_UNKNOWN"
    assert fault(b"\xff\xd8\xff" + bytes(MAX_PHOTO_BYTES)) == "IMAGE_TOO_LARGE"
    assert find_codes(png_claiming(100_000, MAX_PIXELS // 100_000 + 1)).fault == "IMAGE_TOO_LARGE"
    assert find_codes(b"%PDF-1.7 nothing").fault == "IMAGE_UNREADABLE"
    assert find_codes(saved(code_picture(LINK.text), "PNG")[:500]).fault == "IMAGE_UNREADABLE"
    assert fault(saved(Image.new("L", (60, 60), 200), "PNG")) == "CODE_NOT_FOUND"


def test_a_process_that_never_ends_or_crashes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    scripts = iter(("import time; time.sleep(60)", "import os; os.abort()", "print('x' * 10_000_000)"))

    def start(arguments: list[str], **options: Any) -> Any:
        return real([sys.executable, "-S", "-c", next(scripts)], **options)

    monkeypatch.setattr("explorer.child_process.subprocess.Popen", start)
    monkeypatch.setattr(code_reader, "MAX_READ_S", 0.4)
    picture = saved(code_picture(LINK.text), "PNG")
    for _ in range(3):
        assert fault(picture) == "IMAGE_TOO_HARD"


CONFINED = """
import ctypes, os, socket, sys
from explorer import code_reading_process as process
process._load_decoders("PNG")
libc, parent, folder, address = ctypes.CDLL(None, use_errno=True), os.getppid(), sys.argv[1], int(sys.argv[2])
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.mmap.restype = ctypes.c_void_p
class Piece(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t)]
kept = ctypes.create_string_buffer(16)
own, other = Piece(ctypes.addressof(kept), 16), Piece(address, 16)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) in (-1, 2**64 - 1):
        raise OSError(name)
attempts = {
    "open": lambda: open("/etc/passwd"),
    "socket": socket.socket,
    "pipe": os.pipe,
    "memory": lambda: bytearray(2 * 1024**3),
    "read the parent": lambda: call("process_vm_readv", parent, ctypes.byref(own), 1, ctypes.byref(other), 1, 0),
    "trace": lambda: call("ptrace", 0, 0, 0, 0),
    "signal": lambda: os.kill(parent, 0),
    "shared memory": lambda: call("shmget", 0, 4096, 0o1600),
    "mkdir": lambda: os.mkdir(folder + "/made"),
    "rename": lambda: os.rename(folder + "/kept", folder + "/renamed"),
    "unlink": lambda: os.unlink(folder + "/kept"),
    "execute": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "memory that is run": lambda: call("mmap", None, 4096, 7, 0x22, -1, 0),
    "read": lambda: os.read(0, 1),
    "another pipe": lambda: os.write(2, b"x"),
}
print("filtered" if process._confine() else "not filtered")
for name in sys.argv[3:] or attempts:
    try:
        attempts[name]()
    except (OSError, MemoryError):
        continue
    print(name)
sys.stdout.flush()
os._exit(0)
"""


def confined(folder: Path, *attempts: str, before: str = "") -> list[str]:
    """Return what a process said that was confined and made these attempts, or all: whether it is filtered, and what succeeded."""
    (folder / "kept").write_text("")
    secret = ctypes.create_string_buffer(b"sixteen bytes...")
    done = subprocess.run(
        [sys.executable, "-c", before + CONFINED, str(folder), str(ctypes.addressof(secret)), *attempts],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_the_process_can_only_compute_and_answer(tmp_path: Path) -> None:
    assert confined(tmp_path) == ["filtered"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


def test_without_a_filter_the_limits_hold_and_the_node_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = "import platform; platform.machine = lambda: 'another'\n"
    assert confined(tmp_path, "open", "socket", "pipe", "memory", "mkdir", before=before) == ["not filtered", "mkdir"]
    answer = msgspec.msgpack.encode(Found((LINK.text,)))
    monkeypatch.setattr(code_reader, "run_child", lambda *given, **options: answer)
    code_reader._note_no_filter.cache_clear()
    picture = saved(code_picture(LINK.text), "PNG")
    assert [read_photo(picture), read_photo(picture)] == [LINK, LINK]
    assert [one.getMessage() for one in caplog.records] == ["no_system_call_filter"]


def test_the_process_is_filtered_and_knows_nothing_of_the_node_s_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    real = subprocess.Popen

    def start(arguments: list[str], **options: Any) -> Any:
        started.append(options["env"])
        return real(arguments, **options)

    monkeypatch.setenv("GOVNODE_PASSWORD", "secret")
    monkeypatch.setattr("explorer.child_process.subprocess.Popen", start)
    raw = run_child(
        "explorer.code_reading_process", saved(code_picture("HELLO"), "PNG"), max_s=20, max_answer_bytes=9_999
    )
    assert msgspec.msgpack.decode(raw, type=Found) == Found(("HELLO",), is_filtered=True)
    assert set(started[0]) <= {"PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH"}


def test_a_node_reads_one_at_a_time_and_refuses_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_reader, "MAX_WAITING_PHOTOS", 1)
    monkeypatch.setattr(code_reader, "read_photo", lambda raw: LINK)
    reader = CodeReader()

    async def work() -> list[Any]:
        return await asyncio.gather(*(reader.read("a", b"") for _ in range(4)), return_exceptions=True)

    outcomes = asyncio.run(work())
    assert outcomes[:2] == [LINK, LINK]
    assert [getattr(one, "code", "") for one in outcomes[2:]] == ["READER_BUSY", "READER_BUSY"]
    assert asyncio.run(reader.read("a", b"")) == LINK


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_damaged_pictures_end_in_a_name(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(DAMAGED))
    place = data.draw(st.integers(12, len(raw) - 1))
    changed = raw[:place] + data.draw(st.binary(min_size=1, max_size=4)) + raw[place + data.draw(st.integers(0, 4)) :]
    found = find_codes(changed)
    assert found.fault in {"", "IMAGE_UNREADABLE", "IMAGE_TOO_LARGE", "IMAGE_TOO_HARD"}
    assert set(found.texts) <= {"HELLO"}


DAMAGED = [saved(code_picture("HELLO", 3).convert("RGB"), kind) for kind in ("PNG", "JPEG", "WEBP")]
