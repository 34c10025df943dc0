"""Every metric checks its images here before it computes."""

import math
from typing import Any

import numpy as np
from torch import Tensor

Array = np.ndarray | Tensor


def as_array(values: Any) -> np.ndarray:
    """Return a tensor, wherever it lies, or anything that NumPy takes, as a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def comparable_arrays(
    estimate: Array, reference: Array, mask: Array | None, slices: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return estimate and reference as float64 arrays and a mask, all of one shape; with `slices` that has three axes.

    Raises ValueError for shapes that differ, complex or non-finite values, and an empty mask.
    """
    e, r = as_array(estimate), as_array(reference)
    m = np.ones(r.shape, dtype=bool) if mask is None else as_array(mask).astype(bool)
    if e.shape != r.shape or m.shape != r.shape:
        raise ValueError(f"estimate {e.shape}, reference {r.shape} and mask {m.shape} must have one shape")
    if np.iscomplexobj(e) or np.iscomplexobj(r):
        raise ValueError(f"magnitudes are compared: found {e.dtype} of shape {e.shape} and {r.dtype} of shape {r.shape}")
    if not (np.isfinite(e).all() and np.isfinite(r).all()):
        raise ValueError(f"estimate {e.shape} or reference {r.shape} holds values that are not finite")
    if not m.any():
        raise ValueError(f"the mask of shape {m.shape} is empty")
    if slices and r.ndim not in (2, 3):
        raise ValueError(f"a slice (y, x) or a volume (slice, y, x) is compared: found shape {r.shape}")
    shape = (-1, *r.shape[-2:]) if slices else r.shape
    return e.astype(np.float64).reshape(shape), r.astype(np.float64).reshape(shape), m.reshape(shape)


def positive_norm(norm: np.floating, reference: np.ndarray) -> float:
    """Return the norm of a reference. Raises ValueError where it is zero."""
    if not norm > 0:
        raise ValueError(f"the reference of shape {reference.shape} has no energy to compare with")
    return float(norm)


def positive_range(data_range: float) -> float:
    """Return a data range. Raises ValueError where it is not a positive number."""
    if not (data_range > 0 and math.isfinite(data_range)):
        raise ValueError(f"the data range must be a positive number: found {data_range}")
    return float(data_range)
