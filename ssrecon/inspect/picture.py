"""A small picture of a scan, for people who would rather look than read: the root sum of squares of the zero-filled image."""

import base64
import struct
import zlib

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked
from ssrecon.operators import Fourier

SIDE = 128
"""The longest side of a picture, in pixels."""
BRIGHTEST = 0.995
"""The quantile of the magnitude that is shown white."""


def picture(scan: Scan) -> str:
    r"""Return the magnitude :math:`\sqrt{\sum_c |F^H y_c|^2}` of the first frame as a PNG in base64; of a 3-D scan the middle partition.

    Coils are transformed one after another, so that it takes the memory of a coil image. The text is empty where the image is zero or not
    finite.
    """
    mask = (scan.mask & ~scan.padding)[0, 0, 0]
    fourier = Fourier(mask.ndim)
    total = torch.zeros(mask.shape)
    for coil in scan.kspace[0, 0]:
        total += fourier.adjoint(torch.where(mask, coil, 0)[None, None, None])[0, 0, 0].abs().square()
    image = total.sqrt()
    image = image[image.shape[0] // 2] if image.ndim == 3 else image
    return _png_in_base64(image)


def _png_in_base64(image: Tensor) -> str:
    if not bool(torch.isfinite(image).all()) or not bool((image > 0).any()):
        return ""
    factor = max(1.0, max(image.shape) / SIDE)
    if factor > 1:
        height, width = (max(1, round(n / factor)) for n in image.shape)
        image = adaptive_avg_pool2d(image[None, None], (height, width))[0, 0]
    white = float(np.quantile(image.numpy(), BRIGHTEST)) or float(image.max())
    grey = (255 * (image / white).clamp(0, 1)).round().to(torch.uint8).numpy()
    return base64.b64encode(png(grey)).decode()


@checked
def png(grey: UInt8[np.ndarray, "y x"]) -> bytes:
    """Return an 8-bit greyscale PNG (ISO/IEC 15948): signature, header, one compressed block of rows without filters, end."""
    height, width = grey.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), grey], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(rows, 9)) + _png_chunk(b"IEND", b"")


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
