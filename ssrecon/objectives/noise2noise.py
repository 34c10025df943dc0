"""Noise2Noise: one noisy repetition predicts the others."""

from dataclasses import dataclass, replace

import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan, Estimate, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import predicted


@dataclass(frozen=True)
class Noise2Noise(Objective):
    r"""Here frames are repetitions of one object (as M4Raw's are). The network is given one of them, and it is judged on all others.

    .. math:: \frac{1}{R - 1} \sum_{s \ne r} d\big(y_s, E_s f(y_r)\big)

    The repetition r is drawn anew at every pass. Independent noise cannot be predicted, so that with `MeanSquare` the expectation is the
    loss against the noiseless measurement plus a constant. The frames must show one object: motion or contrast between them is learned as
    blur. Where all repetitions share one mask, nothing outside it is ever judged. Raises BadInput, naming the scan, for a single frame.

    At test time every frame is reconstructed as the network was trained, alone, and the images are averaged: the result stands for
    all frames. A Gamma that differs from frame to frame is then predicted from other frames' samples of it: of such scans it measures the
    noise, and is not to be compared with that of methods that use each frame alone. ``average=False`` leaves the frames apart, which
    compares like with like.

    Lehtinen et al. Noise2Noise: learning image restoration without clean data. ICML 2018. doi:10.48550/arXiv.1803.04189. Repetitions: Lyu
    et al. M4Raw. Sci Data 10:264 (2023). doi:10.1038/s41597-023-02181-4
    """

    distance: Distance = MeanSquare()
    average: bool = True
    """This averages the images at test time."""

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        frames = scan.kspace.shape[1]
        if frames < 2:
            raise BadInput(scan.ids[0], found="a single frame", expected="two repetitions or more, as frames")
        return Draws(given=torch.tensor([int(draw.generator("repetition", key).integers(frames)) for key in scan.keys]))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        frames, given = scan.kspace.shape[1], draws.given
        rows = torch.arange(len(scan.ids), device=given.device)
        estimate = network(_select_frames(scan, rows[:, None], given[:, None]))
        others = (given[:, None] + torch.arange(1, frames, device=given.device)) % frames
        judged = _select_frames(scan, rows[:, None], others)
        repeated = replace(estimate, image=estimate.image.expand(-1, frames - 1, *estimate.image.shape[2:]))
        return Loss(self.distance(predicted(judged, repeated), judged.kspace))

    def reconstruct(self, network: Network, scan: CalibratedScan, draws: Draws) -> Estimate:
        if not self.average:
            return network(scan)
        frames = scan.kspace.shape[1]
        estimates = [network(_select_frames(scan, slice(None), slice(frame, frame + 1))) for frame in range(frames)]
        # Images times their own sensitivities: of what the network found in each frame, the mean too.
        mean = torch.stack([estimate.image for estimate in estimates]).mean(dim=0)
        found = [estimate.csm for estimate in estimates if estimate.csm is not None]
        return Estimate(mean.expand(-1, frames, *mean.shape[2:]), csm=torch.stack(found).mean(dim=0) if found else None)


def _select_frames(scan: CalibratedScan, rows: object, frames: object) -> CalibratedScan:
    parts = {name: getattr(scan, name)[rows, frames] for name in ("kspace", "mask", "padding")}
    return replace(scan, **parts)
