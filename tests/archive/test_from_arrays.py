"""A scan from arrays in memory: any order of axes, any type, and errors that name the array, what was found and what was expected."""

import numpy as np
import pytest
import torch

import ssrecon
from ssrecon import CalibratedScan, Calibrator, scan_from_arrays
from ssrecon.baselines import CGSense
from ssrecon.core.encoding import GridPoints, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header
from ssrecon.operators import encoding
from tests.scans import column_mask, full_kspace, make_scan, smooth_csm

SHAPE, COILS = (32, 40), 4
FULL = full_kspace(SHAPE, COILS, 2, 1, 0.005, 0)[0]
"""``frame coil y x``."""
MASK = column_mask(SHAPE, lines=12)[0, 0, 0]
CSM = smooth_csm(COILS, SHAPE)[0, 0]


def test_every_order_of_axes_gives_the_same_scan():
    for axes in ("frame coil y x", "y x coil frame", "x coil frame y", "coil y frame x"):
        names = axes.split()
        order = ["frame coil y x".split().index(name) for name in names]
        mask_order = [["y", "x"].index(name) for name in names if name in "yx"]
        csm_order = [["coil", "y", "x"].index(name) for name in names if name != "frame"]
        made = scan_from_arrays(FULL.permute(order), MASK.permute(mask_order), CSM.permute(csm_order), axes=axes)
        assert torch.equal(made.kspace, torch.where(MASK, FULL, 0)[None]) and torch.equal(made.csm, CSM[None, None])
        assert torch.equal(made.mask, MASK.expand(1, 2, 1, *SHAPE)) and not made.padding.any()
        assert made.header.encoded_matrix == made.header.recon_matrix == SHAPE and made.header.encoding == WholeLines()
        assert made.kspace.is_contiguous()


def test_volumes_and_slices_of_them():
    volume = torch.randn(3, 6, 8, 10, dtype=torch.complex64)
    made = scan_from_arrays(volume, axes="coil z y x")
    assert made.kspace.shape == (1, 1, 3, 6, 8, 10) and made.header.encoding == WholeLines()
    points = torch.rand(6, 8) < 0.5
    made = scan_from_arrays(volume[..., 0], points, axes="coil z y")
    assert made.kspace.shape == (1, 1, 3, 6, 8) and made.header.encoding == HybridSlice()
    assert scan_from_arrays(volume[..., 0], axes="coil z y").header.encoding == HybridSlice()  # however full: there is no readout
    assert scan_from_arrays(FULL[0], torch.rand(SHAPE) < 0.5).header.encoding == GridPoints()


@pytest.mark.parametrize("kind", [np.complex64, np.complex128, np.clongdouble, ">c8", torch.complex128])
def test_any_type_and_nothing_shared(kind):
    given = FULL[0].to(kind) if isinstance(kind, torch.dtype) else FULL[0].numpy().astype(kind)
    made = scan_from_arrays(given, MASK.numpy().astype(np.uint8))
    torch.testing.assert_close(made.kspace[0, 0], torch.where(MASK, FULL[0], 0))
    assert made.kspace.dtype == torch.complex64 and made.mask.dtype == torch.bool
    given[...] = 7
    assert not (made.kspace == 7).any()


def test_masks():
    zero_filled = torch.where(MASK, FULL, 0)
    assert torch.equal(scan_from_arrays(zero_filled[0]).mask[0, 0, 0], MASK)
    assert torch.equal(scan_from_arrays(FULL[0], MASK[:, :1]).mask[0, 0, 0], MASK)  # a column mask, stretched
    each = torch.stack([MASK, MASK.roll(1, 0)])
    made = scan_from_arrays(FULL, each, axes="frame coil y x")
    assert torch.equal(made.mask[0, :, 0], each)
    outside = torch.where(MASK, FULL[0], torch.nan)
    assert torch.isfinite(torch.view_as_real(scan_from_arrays(outside, MASK).kspace)).all()


def test_calibrated_in_one_line():
    scan = Calibrator().volume([scan_from_arrays(FULL[0], MASK, noise=torch.randn(2, COILS, 99, dtype=torch.complex64) * 0.005)])[0].scan
    assert scan.noise_source == "noise scan" and CGSense()(scan).image.shape == (1, 1, 1, *SHAPE)
    shared = [scan_from_arrays(FULL[0], MASK, header=Header(f"v/{s}", "v", "somebody", slice=s)) for s in range(2)]
    assert [one.scan.ids for one in Calibrator().volume(shared)] == [("v/0",), ("v/1",)]
    apart = scan_from_arrays(FULL[0], column_mask(SHAPE, lines=2)[0, 0, 0], calibration=FULL[0, :, 4:28, 8:32])
    assert apart.calibration.kspace.shape == (1, 1, COILS, 24, 24) and apart.calibration.mask.all()


def test_white_noise_and_given_sensitivities_need_no_calibrator():
    expected = make_scan(SHAPE, COILS, noise_std=0.01, mask=MASK[None, None, None])
    scan = scan_from_arrays(full_kspace(SHAPE, COILS, 1, 1, 0.01, 0)[0, 0], MASK, 3 * CSM)
    white = CalibratedScan.white(scan, noise_std=0.01)
    torch.testing.assert_close(encoding(white).adjoint(white.kspace), encoding(expected).adjoint(expected.kspace), atol=1e-5, rtol=1e-4)
    assert white.noise_std == pytest.approx(0.01) and float(white.scale * white.noise_std) == pytest.approx(1)
    assert CalibratedScan.white(scan).noise_std is None and not white.calibration.any()
    with pytest.raises(BadInput, match="no coil sensitivities"):
        CalibratedScan.white(scan_from_arrays(FULL[0]))
    with pytest.raises(BadInput, match="noise level of -1"):
        CalibratedScan.white(scan, -1)


NAN = FULL[0].clone()
NAN[0, 16, 0] = torch.nan


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(kspace=FULL[0][None]), r"kspace: found 4 axes of lengths \(1, 4, 32, 40\); expected 3 axes \(coil y x\)"),
        (dict(kspace=FULL[0], axes="coil y w"), "axes: found an axis 'w'"),
        (dict(kspace=FULL, axes="slice coil y x"), "axes: .*one slice at a time"),
        (dict(kspace=FULL[0], axes="coil y y"), "every axis once"),
        (dict(kspace=FULL[0], axes="frame y x"), "expected coil, y, and x or z"),
        (dict(kspace=FULL[0].real), "kspace: found real values of torch.float32.*expected complex"),
        (dict(kspace=FULL[0].numpy().real), "kspace: found real values"),
        (dict(kspace=FULL[0].tolist()), "kspace: found a list; expected a NumPy array or a tensor"),
        (dict(kspace=np.full((2, 3, 4), None)), "kspace: found an array of object"),
        (dict(kspace=FULL[0][:, :0]), "kspace: found an empty array"),
        (dict(kspace=NAN), "kspace: found 1 values that are not finite"),
        (dict(kspace=FULL[0].numpy().astype(complex) * 1e300), "not finite, where they count; expected finite values .in single"),
        (dict(kspace=FULL[0] * 0), "k-space of zeros alone"),
        (dict(kspace=FULL[0], mask=MASK & False), "mask: found a mask that is False everywhere"),
        (dict(kspace=FULL[0], mask=MASK.mT), r"mask: found shape \(40, 32\); expected \(y x\) = \(32, 40\)"),
        (dict(kspace=FULL, mask=MASK.expand(3, *SHAPE), axes="frame coil y x"), r"\(frame y x\) = \(2, 32, 40\) or \(y x\) = \(32, 40\)"),
        (dict(kspace=FULL[0], mask=MASK * 3), "mask: found values of torch.int64 other than 0 and 1"),
        (dict(kspace=FULL[0], csm=CSM[:3]), r"csm: found shape \(3, 32, 40\); expected \(coil y x\) = \(4, 32, 40\)"),
        (dict(kspace=FULL[0], csm=CSM[..., :-1]), r"csm: found shape \(4, 32, 39\)"),
        (dict(kspace=FULL[0], csm=CSM[0]), "csm: found 2 axes"),
        (dict(kspace=FULL[0], noise=FULL[0, :3, 0]), r"noise: found shape \(3, 40\).*4 coils"),
        (dict(kspace=FULL[0], axes=("coil", "y", "x")), r"axes: found \('coil', 'y', 'x'\); expected one text"),
        (dict(kspace=FULL[0], axes=3), "axes: found 3; expected one text"),
        (dict(kspace=FULL[0], header="x"), "header: found a str; expected a Header"),
        (dict(kspace=FULL[0], header=""), "header: found a str; expected a Header"),
        (dict(kspace=FULL[0].to_sparse()), "kspace: found a tensor of layout torch.sparse_coo; expected a dense tensor"),
        (dict(kspace=FULL[0].to("meta")), "kspace: found a meta tensor, which has no values"),
        (dict(kspace=FULL[0], mask=MASK.to_sparse()), "mask: found a tensor of layout torch.sparse_coo"),
        (dict(kspace=FULL[0], csm=CSM.to("meta")), "csm: found a meta tensor"),
        (dict(kspace=FULL[0], calibration=FULL[0, :3]), "calibration: found 3 coils; expected 4"),
        (dict(kspace=FULL[0], calibration=0 * FULL[0]), "calibration: found zeros alone"),
        (dict(kspace=np.ma.masked_less(FULL[0].numpy(), 0)), "kspace: found a masked array; expected its values"),
        (dict(kspace=1e-60 * FULL[0].to(torch.complex128)), r"zeros alone \(in single precision\)"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(BadInput, match=message):
        scan_from_arrays(**given)


def test_a_hybrid_slice_keeps_its_place():
    """Taken for points of a grid, it was cropped along the wrong axes."""
    header = Header("a", "a", "a", encoded_fov=(10, 20, 40), recon_fov=(10, 20, 20), encoding=HybridSlice(3, 40))
    scan = scan_from_arrays(FULL[0, :, :10, :20], axes="coil z y", header=header)
    assert scan.header.encoding == HybridSlice(3, 40) and scan.header.shown_matrix((10, 20)) == (10, 20)
    assert scan.header.geometry.axes == ("slice", "phase")
    assert scan_from_arrays(FULL[0], axes="coil z y").header.encoding == HybridSlice(0, 1)
    assert scan_from_arrays(FULL[0], header=header).header.encoding == WholeLines()
    assert scan_from_arrays(FULL[0][:, None], axes="coil z y x").header.geometry.axes == ("slice", "phase", "read")


def test_axes_of_none_are_those_by_default():
    assert torch.equal(scan_from_arrays(FULL[0], axes=None).kspace, scan_from_arrays(FULL[0]).kspace)


def test_it_is_exported():
    assert ssrecon.scan_from_arrays is scan_from_arrays and "scan_from_arrays" in ssrecon.__all__
