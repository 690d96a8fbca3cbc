"""Decode the files of ImageNet, the odd ones too: PNG or CMYK images named .JPEG, grey ones, damaged bytes.

torchvision's decoder is the fastest at hand and gives the same bytes as PIL. EXIF rotation is ignored, as in the
original pipeline.
"""

import io
import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.io  # noqa: F401  registers the operator
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from rethinking.run.file_types import what_is

RGB = 3  # torchvision's ImageReadMode.RGB
UNCHANGED = 0
# libjpeg goes on after damage and leaves grey; it says so on standard error alone.
DAMAGE = re.compile(rb"^(?:Corrupt JPEG data: |Premature end|Inconsistent progression).*", re.MULTILINE)
# A decoder that lost its way leaves bytes over as well, so only a few equal ones are padding, which does no harm.
LEFT_OVER = re.compile(rb"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
MOST_PADDING = 16  # bytes


class Undecodable(Exception):
    """What is wrong with a file."""


def kind(content: bytes) -> str:
    """The kind of an image file: ``rgb``, ``grey`` or ``cmyk`` JPEG, ``png`` or ``other``."""
    if content.startswith(b"\x89PNG"):
        return "png"
    if not content.startswith(b"\xff\xd8"):
        return "other"
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            return {1: "grey", 3: "rgb", 4: "cmyk"}.get(content[place + 9], "other")
        if marker == 0xFF:
            place += 1  # fill bytes
            continue
        place += 2 + struct.unpack(">H", content[place + 2 : place + 4])[0]
    return "other"


def decode(content: bytes) -> Tensor:
    """The pixels of an image file, uint8 (3, height, width).

    Raises:
        Undecodable: it is no JPEG or PNG image, or its bytes end too early.
    """
    try:
        if kind(content) in ("rgb", "grey"):
            # torch warns of bytes, which cannot be written to; a copy costs less than to silence it.
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            return torch.ops.image.decode_jpeg(data, RGB, False)
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)
    except UnidentifiedImageError:  # whose text has an address in memory, another one in each run
        raise Undecodable(_fault(content, "it is no whole JPEG or PNG image")) from None
    except (RuntimeError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = str(error).splitlines()[0].rpartition(".cpp:")[2].partition(", ")
        raise Undecodable(_fault(content, message[2] or str(error).splitlines()[0])) from None


def _fault(content: bytes, said: str) -> str:
    """What is wrong with a file: what it seems to be in place of an image, or what its decoder said."""
    seems = what_is(content)
    return said if seems in (None, "a JPEG image", "a PNG image") else f"it seems to be {seems}"


def decode_checked(content: bytes) -> Tensor:
    """As :func:`decode`, with the checks that a file needs once: no values are lost, and libjpeg names what is damaged.

    Raises:
        Undecodable: as there, or it is a grey PNG image of 16 bits.
    """
    pixels = decode(content)
    which = kind(content)
    if which == "png" and content[24:26] == b"\x10\0":  # PIL would make all but the darkest values white
        raise Undecodable("it is a grey PNG image of 16 bits; convert it to 8 bits")
    if which == "cmyk":  # PIL's libjpeg is silent
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        try:
            torch.ops.image.decode_jpeg(data, UNCHANGED, False)
        except RuntimeError as error:
            raise Undecodable(str(error).splitlines()[0].rpartition(", ")[2]) from None
    return pixels


def damage(said: bytes, content: bytes) -> str | None:
    """The damage to a file that libjpeg named when it decoded it alone; None if there is none."""
    found = DAMAGE.search(said)
    if not found:
        return None
    if left := LEFT_OVER.fullmatch(found[0]):
        count, end = int(left[1]), content.rfind(b"\xff\xd9")
        if count <= MOST_PADDING and len(set(content[end - count : end])) == 1:
            return None
    return found[0].decode(errors="replace")


@contextmanager
def decoder_messages() -> Iterator[list[bytes]]:
    """Collect what libjpeg writes to standard error in the block; the list is filled when the block ends."""
    found: list[bytes] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            found.append(file.read())


def resize(image: Tensor, size: int) -> Tensor:
    """Resize to a square, uint8 (channels, height, width) -> (channels, size, size): bilinear, with antialiasing.

    This is PIL's and torchvision's default, to a level of 255.
    """
    if image.shape[1:] == (size, size):
        return image
    # So that it is known as an image whose channels come last, for which torch has a fast way.
    image = image.permute(1, 2, 0)[None].permute(0, 3, 1, 2)
    return F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)[0]
