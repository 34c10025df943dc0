"""Weighted norms of k-space over real and imaginary parts, one value a scan: what distances are made of."""

import torch
from jaxtyping import Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.objectives.distances.base import Kspace, Weight


@checked
def real_parts(kspace: Kspace) -> Float[Tensor, "batch parts"]:
    """Return real and imaginary parts, one row a scan."""
    return torch.view_as_real(kspace).flatten(1)


@checked
def l1_norm(kspace: Kspace, weight: Weight) -> Float[Tensor, " batch"]:
    r"""Return :math:`\sum W (|{\rm Re}| + |{\rm Im}|)` of each scan."""
    return torch.linalg.vector_norm(real_parts(kspace if weight is None else kspace * weight), ord=1, dim=1)


@checked
def l2_norm(kspace: Kspace, weight: Weight) -> Float[Tensor, " batch"]:
    r"""Return :math:`\sqrt{\sum W |e|^2}` of each scan."""
    return torch.linalg.vector_norm(real_parts(kspace if weight is None else kspace * weight.sqrt()), dim=1)


@checked
def sum_of_squares(kspace: Kspace, weight: Weight) -> Float[Tensor, " batch"]:
    r"""Return :math:`\sum W |e|^2` of each scan."""
    return real_parts(kspace if weight is None else kspace * weight.sqrt()).square().sum(dim=1)
