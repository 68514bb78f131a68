"""The hand scanners' protocol: frames of a length, a kind and a payload over TCP or TLS."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator

from PIL import Image

HEADER = struct.Struct("!IB")
KIND_SCAN, KIND_PHOTO, KIND_BATCH = 1, 2, 3
MAX_SCAN = 64 * 1024

Image.MAX_IMAGE_PIXELS = None  # photos of pallets are large


class ProtocolError(Exception):
    """The scanner sent what the protocol does not allow."""


class ScannerConnection:
    """One scanner. Not for use by several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.last_frame = time.monotonic()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Kind and payload of each frame, until the scanner hangs up."""
        while header := self._exactly(HEADER.size):
            length, kind = HEADER.unpack(header)
            self.last_frame = time.monotonic()
            yield kind, self._exactly(length)

    def scan(self) -> dict:
        """One scan, refused when it is bigger than a scan can be."""
        length, kind = HEADER.unpack(self._exactly(HEADER.size))
        if kind != KIND_SCAN or length > MAX_SCAN:
            raise ProtocolError(f"a frame of kind {kind} with {length} bytes")
        return json.loads(self._exactly(length))

    def idle(self) -> float:
        """Seconds since the last frame."""
        return time.time() - self.last_frame

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.sock.recv(min(count - len(data), 65536))
            if not chunk:
                return b""
            data += chunk
        return data


def scans_of(batch: bytes) -> list[dict]:
    """The scans of a batch, which old scanners send compressed when they come back into the depot."""
    return json.loads(zlib.decompress(batch))


def settings_of(blob: bytes, limit: int = MAX_SCAN) -> dict:
    """The scanner's settings, refused when they unpack to more than `limit` bytes."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(blob, limit)
    if unpacker.unconsumed_tail:
        raise ProtocolError(f"settings of more than {limit} bytes")
    return json.loads(text)


def photo_of(upload: socket.socket) -> bytes:
    """The photo of a damaged parcel: all that comes until the scanner closes the connection."""
    with upload.makefile("rb") as stream:
        return stream.read()


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS for the depot's network; the first generation of scanners knows nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(certificate, key)
    return context
