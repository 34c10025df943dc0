"""The residual on held-out samples judges an image without a reference: its floor, the noise alone, is 1."""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked


@checked
def heldout_residual(
    predicted: Complex[Tensor, "batch frames coils *k"],
    measured: Complex[Tensor, "batch frames coils *k"],
    mask: Bool[Tensor, "batch frames 1 *k"],
    noise_std: Float[Tensor, " batch"] | None,
) -> Float[Tensor, " batch"]:
    r"""Return how well acquired samples that nothing has seen are predicted, one value a scan (float64): it needs no reference.

    .. math:: \frac{1}{|\Gamma| C} \sum_{k \in \Gamma,\, c} \frac{|y_{kc} - (E \hat x)_{kc}|^2}{\sigma^2}

    with :math:`\sigma^2 = E|n|^2` of a complex sample. A perfect prediction scores 1 with a standard deviation of
    :math:`1 / \sqrt{|\Gamma| C}`; what exceeds 1 is the image's own error there. Where the noise is unknown (None) the residual is relative
    to :math:`\sum |y|^2` instead. What lies outside `mask` is ignored, be it NaN. Raises ValueError for an empty mask.
    """
    if predicted.shape != measured.shape or mask.shape != (*measured.shape[:2], 1, *measured.shape[3:]):
        raise ValueError(f"shapes {tuple(predicted.shape)}, {tuple(measured.shape)} and mask {tuple(mask.shape)} do not fit each other")
    count = mask.flatten(1).sum(1)
    if not bool((count > 0).all()):
        raise ValueError(f"nothing is held out for at least one scan: {count.tolist()} samples")
    error = _energy(torch.where(mask, predicted - measured, 0))
    if noise_std is None:
        return error / _energy(torch.where(mask, measured, 0))
    return error / (count * measured.shape[2] * noise_std.double() ** 2)


def _energy(kspace: Tensor) -> Tensor:
    return torch.view_as_real(kspace).double().square().flatten(1).sum(1)
