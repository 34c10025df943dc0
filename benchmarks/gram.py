"""Time the gram of the SENSE operator, 16 coils 320x320, against a plain-torch version on the same tensors and against its two FFTs.

python benchmarks/gram.py [--device cuda]
"""

import argparse

import torch
from common import median_seconds, write_result

from ssrecon.operators import sense


def plain_gram(x, csm, mask):
    """Multiply, shift, transform, mask and back, all coils at once: what one writes first."""
    axes = (-2, -1)
    k = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x * csm, dim=axes), norm="ortho"), dim=axes)
    y = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(k * mask, dim=axes), norm="ortho"), dim=axes)
    return (y * csm.conj()).sum(dim=2, keepdim=True)


def coil_by_coil_ffts(coil_images):
    """The floor: forward and backward transform of every coil and nothing else, one coil at a time, which is the faster way on a CPU."""
    for coil in coil_images[0, 0]:
        torch.fft.ifft2(torch.fft.fft2(coil))


def case(shape, coils, points, device):
    generator = torch.Generator().manual_seed(0)
    csm = torch.randn(1, 1, coils, *shape, dtype=torch.complex64, generator=generator).to(device)
    x = torch.randn(1, 1, 1, *shape, dtype=torch.complex64, generator=generator).to(device)
    columns = (torch.rand(1, 1, 1, shape[0], 1, generator=generator) < 0.3).expand(1, 1, 1, *shape)
    mask = ((torch.rand(1, 1, 1, *shape, generator=generator) < 0.3) if points else columns).contiguous().to(device)
    coil_images = torch.randn(1, 1, coils, *shape, dtype=torch.complex64, generator=generator).to(device)
    operator = sense(mask, csm)
    error = torch.linalg.vector_norm(operator.gram(x) - plain_gram(x, csm, mask)) / torch.linalg.vector_norm(operator.gram(x))
    gradient = x.clone().requires_grad_()

    def ours_both():
        operator.gram(gradient).backward(x)

    def plain_both():
        plain_gram(gradient, csm, mask).backward(x)

    together = torch.device(device).type == "cuda"
    times = median_seconds(
        {
            "ours": lambda: operator.gram(x),
            "plain": lambda: plain_gram(x, csm, mask),
            "two_ffts": (lambda: torch.fft.ifft2(torch.fft.fft2(coil_images))) if together else (lambda: coil_by_coil_ffts(coil_images)),
            "ours_forward_backward": ours_both,
            "plain_forward_backward": plain_both,
        },
        repeats=41,
        device=device,
    )
    return {
        "coils": coils,
        "matrix": list(shape),
        "mask": "points" if points else "lines (one-dimensional transforms)",
        "seconds": times,
        "ours_over_two_ffts": times["ours"] / times["two_ffts"],
        "plain_over_ours": times["plain"] / times["ours"],
        "plain_over_ours_forward_backward": times["plain_forward_backward"] / times["ours_forward_backward"],
        "relative_difference": error.item(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    cases = [case((320, 320), 16, True, device), case((320, 320), 16, False, device)]
    write_result("gram", {"cases": cases}, device)
