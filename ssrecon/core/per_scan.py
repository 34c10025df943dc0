"""One value a scan, for arithmetic with arrays of the scans."""

from jaxtyping import Shaped
from torch import Tensor

from ssrecon.core.shapes import checked


@checked
def per_scan(values: Shaped[Tensor, " batch"], like: Tensor) -> Shaped[Tensor, "batch *ones"]:
    """Return one value a scan in a shape that multiplies arrays with as many axes as `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
