"""Frames from folders, cameras, y4m and raw pipes, as bytes in a format the service takes."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Bytes of a pixel, for formats without chroma subsampling.
PACKED_BYTES = {"RGB8": 3, "BGR8": 3, "RGBA8": 4, "BGRA8": 4, "GRAY8": 1, "GRAY16": 2}
Y4M_FORMATS = {"420": "I420", "420jpeg": "I420", "420mpeg2": "I420", "422": "I422", "444": "I444", "mono": "GRAY8"}
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass
class Film:
    """Frames of one format and size; `frames` gives each frame's bytes."""

    format: str
    width: int
    height: int
    fps: float
    frames: Iterator[bytes]


def frame_bytes(format: str, width: int, height: int) -> int:
    """Bytes of a frame without padding; chroma of odd sizes is rounded up."""
    chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
    match format:
        case "I420" | "NV12":
            return width * height + 2 * chroma_width * chroma_height
        case "I422":
            return width * height + 2 * chroma_width * height
        case "YUYV" | "UYVY":
            return 4 * chroma_width * height
        case "I444":
            return 3 * width * height
    return PACKED_BYTES[format] * width * height


def read(source: str, raw: str | None, fps: float | None) -> Film:
    """The film of a folder, a file, `-` (standard input) or `camera:N`; `raw` is FORMAT:WxH for pixels without a header."""
    if source.startswith("camera"):
        return camera(int(source.partition(":")[2] or 0), fps)
    if Path(source).is_dir():
        return folder(Path(source), fps)
    stream = sys.stdin.buffer if source == "-" else open(source, "rb")
    if raw:
        format, size = raw.split(":")
        width, height = (int(side) for side in size.split("x"))
        return Film(format.upper(), width, height, fps or 30.0, chunks(stream, frame_bytes(format.upper(), width, height)))
    return y4m(stream, fps)


def chunks(stream, length: int) -> Iterator[bytes]:
    while data := stream.read(length):
        if len(data) < length:
            raise SystemExit(f"the input ends {length - len(data)} bytes before the end of a frame")
        yield data


def y4m(stream, fps: float | None) -> Film:
    words = stream.readline(1024).decode("ascii", "replace").split()
    if not words or words[0] != "YUV4MPEG2":
        raise SystemExit("the input is not y4m; say what it is with --raw FORMAT:WxH")
    fields = {word[0]: word[1:] for word in words[1:]}
    format = Y4M_FORMATS.get(fields.get("C", "420"))
    if format is None:
        raise SystemExit(f"y4m of C{fields['C']} is not taken; use one of {', '.join(Y4M_FORMATS)}")
    width, height = int(fields["W"]), int(fields["H"])
    length = frame_bytes(format, width, height)
    num, den = (int(part) for part in fields.get("F", "30:1").split(":"))

    def frames() -> Iterator[bytes]:
        while line := stream.readline(1024):
            if not line.startswith(b"FRAME"):
                raise SystemExit("a y4m frame does not begin with FRAME")
            if not (data := next(chunks(stream, length), b"")):
                raise SystemExit("the input ends after a frame's first line")
            yield data

    return Film(format, width, height, fps or num / den, frames())


def folder(path: Path, fps: float | None) -> Film:
    from PIL import Image

    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        raise SystemExit(f"{path}: no pictures ({', '.join(sorted(PICTURES))})")
    with Image.open(files[0]) as first:
        size = first.size

    def frames() -> Iterator[bytes]:
        for file in files:
            with Image.open(file) as picture:
                picture = picture.convert("RGB")
                yield (picture if picture.size == size else picture.resize(size)).tobytes()

    return Film("RGB8", *size, fps or 30.0, frames())


def camera(index: int, fps: float | None) -> Film:
    try:
        import cv2
    except ImportError:
        raise SystemExit("a camera needs OpenCV: pip install opencv-python-headless") from None
    device = cv2.VideoCapture(index)
    ok, first = device.read()
    if not ok:
        raise SystemExit(f"camera {index} gives no frames")
    height, width = first.shape[:2]

    def frames() -> Iterator[bytes]:
        ok, frame = True, first
        while ok:
            yield np.ascontiguousarray(frame).tobytes()
            ok, frame = device.read()

    return Film("BGR8", width, height, fps or device.get(cv2.CAP_PROP_FPS) or 30.0, frames())
