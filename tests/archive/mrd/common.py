"""What the tests of ISMRMRD files share: sizes, and files of one slice."""

import numpy as np
import torch

from tests.archive.mrd import lines as mrd

COILS, Y, X = 3, 16, 20


def lines_of(kspace: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return kspace[:, rows].transpose(1, 0, 2)


def write_2d(path, kspace, rows, **fields):
    coils, y, x = kspace.shape
    header = mrd.heads(len(rows), coils, x, kspace_encode_step_1=rows, **fields)
    return mrd.write(path, mrd.header_xml((1, y, x)), (header, lines_of(kspace, rows)))


def acquired(mask: torch.Tensor) -> list[int]:
    return mask[0, 0, 0].any(-1).nonzero().flatten().tolist()
