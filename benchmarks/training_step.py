"""Time a whole SSDU training step: 16 coils 320x320, 5 unrolls, 5 CG iterations, 5 layers of 32 channels, batch 1.

Measured in one run on the same tensors: the step in single precision and with the regulariser in bfloat16, a plain-torch version of it, and
its floor: the same FFTs and the same convolutions in their fastest layout, forward and backward, and nothing else.

    python benchmarks/training_step.py [--device cuda]
"""

import argparse
from dataclasses import replace

import torch
from common import median_seconds, peak_memory, write_result
from gram import plain_gram
from torch import nn

from ssrecon.core import CalibratedScan, Draw, Header
from ssrecon.networks import CNN, Unrolled
from ssrecon.objectives import SSDU

COILS, SIZE, UNROLLS, ITERATIONS, LAYERS, CHANNELS = 16, 320, 5, 5, 5, 32
SPEC = Unrolled(CNN(layers=LAYERS, channels=CHANNELS, batch_norm=False), unrolls=UNROLLS, cg_iterations=ITERATIONS)


def make_scan():
    generator = torch.Generator().manual_seed(0)
    csm = torch.randn(1, 1, COILS, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    mask = torch.zeros(1, 1, 1, SIZE, SIZE, dtype=torch.bool)
    mask[..., ::4, :] = True
    mask[..., SIZE // 2 - 12 : SIZE // 2 + 12, :] = True
    kspace = torch.randn(1, 1, COILS, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    return CalibratedScan(
        headers=(Header("benchmark", "benchmark", "benchmark"),),
        kspace=torch.where(mask, kspace, 0),
        mask=mask,
        padding=torch.zeros_like(mask),
        csm=csm / torch.linalg.vector_norm(csm, dim=2, keepdim=True),
        calibration=torch.zeros_like(mask),
        scale=torch.ones(1),
    )


def step_of(spec, scan, device):
    network = spec.build(0, scan).to(device)
    objective = SSDU()

    def step():
        network.zero_grad(set_to_none=True)
        objective.loss(network, scan, None, objective.draws(scan, Draw(0))).mean.backward()

    return step


def plain_step(scan, device):
    """The same step as one writes it first: contiguous tensors, all coils at once, shifts in every gram, autograd through everything."""
    part = SSDU().partitioner.split(scan, Draw(0))
    theta, held_out = scan.on(part.theta), scan.on(part.lambda_)
    widths = [2, *[CHANNELS] * (LAYERS - 1), 2]
    modules = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        modules += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    cnn = nn.Sequential(*modules[:-1]).to(device)
    axes = (-2, -1)

    def encode(x, mask):
        return mask * torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x * scan.csm, dim=axes), norm="ortho"), dim=axes)

    def adjoint(y):
        x = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(y, dim=axes), norm="ortho"), dim=axes)
        return (x * scan.csm.conj()).sum(dim=2, keepdim=True)

    def step():
        cnn.zero_grad(set_to_none=True)
        start = x = adjoint(theta.kspace)
        for _ in range(UNROLLS):
            channels = torch.cat([x[:, 0].real, x[:, 0].imag], dim=1)
            channels = channels + cnn(channels)
            rhs = start + 0.05 * torch.complex(channels[:, :1], channels[:, 1:])[:, None]
            x, r, p = torch.zeros_like(rhs), rhs, rhs
            rr = (r.abs() ** 2).sum()
            for _ in range(ITERATIONS):
                q = plain_gram(p, scan.csm, theta.mask) + 0.05 * p
                alpha = rr / (p.conj() * q).sum().real
                x, r = x + alpha * p, r - alpha * q
                rr, old = (r.abs() ** 2).sum(), rr
                p = r + rr / old * p
        difference = torch.view_as_real(encode(x, held_out.mask) - held_out.kspace)
        data = torch.view_as_real(held_out.kspace)
        (difference.norm() / data.norm() + difference.abs().sum() / data.abs().sum()).backward()

    return step


def ffts(device):
    """As many transforms as the step cannot do without: two a gram, forward and backward, one adjoint, one encoding and its adjoint."""
    coil_images = torch.randn(COILS, SIZE, SIZE, dtype=torch.complex64, device=device)
    grams, single = 2 * UNROLLS * ITERATIONS, 3

    def run():
        for _ in range(grams):
            if torch.device(device).type == "cuda":
                torch.fft.ifft2(torch.fft.fft2(coil_images))
            else:
                for coil in coil_images:
                    torch.fft.ifft2(torch.fft.fft2(coil))
        for _ in range(single):
            torch.fft.fft2(coil_images)

    return run


def convolutions(device, dtype, layout):
    """The same convolutions, forward and backward, without anything between them but what autograd needs."""
    widths = [2, *[CHANNELS] * (LAYERS - 1), 2]
    pairs = list(zip(widths[:-1], widths[1:], strict=True))
    layers = [nn.Conv2d(a, b, 3, padding=1).to(device, dtype).to(memory_format=layout) for a, b in pairs]
    inputs = [torch.randn(1, a, SIZE, SIZE, device=device, dtype=dtype).to(memory_format=layout).requires_grad_() for a, _ in pairs]
    outputs = [torch.randn(1, b, SIZE, SIZE, device=device, dtype=dtype).to(memory_format=layout) for _, b in pairs]

    def run():
        for _ in range(UNROLLS):
            for layer, x, grad in zip(layers, inputs, outputs, strict=True):
                torch.autograd.grad(layer(x), [x, layer.weight, layer.bias], grad)

    flops = UNROLLS * sum(3 * 2 * 9 * a * b * SIZE * SIZE for a, b in pairs)
    return run, flops


def main(device):
    scan = make_scan().to(device)
    layouts = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    functions = {
        "ours_fp32": step_of(SPEC, scan, device),
        "ours_bf16": step_of(replace(SPEC, mixed_precision=True), scan, device),
        "floor_ffts": ffts(device),
    }
    before = peak_memory(device)
    functions["ours_fp32"]()
    peak = {"ours_fp32_bytes_above_imports": peak_memory(device) - before}
    for name, layout in layouts.items():
        functions[f"floor_convolutions_fp32_{name}"], flops = convolutions(device, torch.float32, layout)
        functions[f"floor_convolutions_bf16_{name}"], _ = convolutions(device, torch.bfloat16, layout)
    functions["plain"] = plain_step(scan, device)
    times = median_seconds(functions, repeats=7, device=device)
    fastest = {kind: min(times[f"floor_convolutions_{kind}_{name}"] for name in layouts) for kind in ("fp32", "bf16")}
    floors = {kind: times["floor_ffts"] + value for kind, value in fastest.items()}
    result = {
        "seconds": times,
        "floor_seconds": floors,
        "convolution_gflop_per_second": {kind: flops / value / 1e9 for kind, value in fastest.items()},
        "ours_fp32_over_floor": times["ours_fp32"] / floors["fp32"],
        "ours_bf16_over_floor": times["ours_bf16"] / floors["bf16"],
        "fp32_over_bf16": times["ours_fp32"] / times["ours_bf16"],
        "plain_over_ours_fp32": times["plain"] / times["ours_fp32"],
        "peak_memory": peak,
    }
    write_result("training_step", result, device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    main(parser.parse_args().device)
