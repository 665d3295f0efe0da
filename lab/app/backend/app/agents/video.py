"""VideoAssembler: the frames that VisionGeneratorAgent made become one animated PNG.

Animated PNG needs no encoder: it holds the frames' own compressed data. Frames have to be of one size and format,
which those of one job are.
"""
from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from app import clients

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FRAMES_PER_SECOND = 4


def run(context: dict[str, Any]) -> dict[str, Any]:
    frames = [output["image_key"] for _node, output in sorted(context["upstream"].items())]
    images = [clients.load_object(key) for key in frames]
    lost = [key for key, image in zip(frames, images) if image is None]
    if lost:
        raise clients.UpstreamError(f"minio: frames are gone: {', '.join(lost)}")
    data = animate([image[0] for image in images if image])
    key = f"videos/{context['job_id']}.png"
    clients.store_object(key, data, "image/apng")
    return {"video_key": key, "frames": len(frames), "bytes": len(data), "content_type": "image/apng"}


def animate(frames: list[bytes]) -> bytes:
    """One animated PNG, looping for ever, from PNG frames of one size."""
    parsed = [list(_chunks(frame)) for frame in frames]
    headers = {content for chunks in parsed for kind, content in chunks if kind == b"IHDR"}
    if len(headers) != 1:
        raise ValueError(f"frames differ in size or format: {len(headers)} kinds of header in {len(frames)} frames")
    header = headers.pop()
    parts = [SIGNATURE, _chunk(b"IHDR", header), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    sequence = 0
    for index, chunks in enumerate(parsed):
        control = struct.pack(">I", sequence) + header[:8] + struct.pack(">IIHHBB", 0, 0, 1, FRAMES_PER_SECOND, 0, 0)
        parts.append(_chunk(b"fcTL", control))
        sequence += 1
        data = b"".join(content for kind, content in chunks if kind == b"IDAT")
        if index == 0:
            parts.append(_chunk(b"IDAT", data))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", sequence) + data))
            sequence += 1
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise ValueError("a frame is not a PNG")
    at = len(SIGNATURE)
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at:at + 4]), png[at + 4:at + 8]
        yield kind, png[at + 8:at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
