"""Small seeded inputs of the cases: objects, coils, and writers of public layouts."""

from pathlib import Path

import h5py
import numpy as np


def fft(x, axes=(-2, -1)):
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(x, axes=axes), axes=axes, norm="ortho"), axes=axes)


def ifft(x, axes=(-2, -1)):
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(x, axes=axes), axes=axes, norm="ortho"), axes=axes)


def obj(ny, nx, seed=0, phase=True):
    """An asymmetric head-like object."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid((np.arange(ny) - ny // 2) / ny * 2, (np.arange(nx) - nx // 2) / nx * 2, indexing="ij")
    im = np.zeros((ny, nx))
    im[(x / 0.62) ** 2 + (y / 0.8) ** 2 < 1] = 1.0
    im[(x / 0.55) ** 2 + (y / 0.72) ** 2 < 1] = 0.55
    for _ in range(8):
        cy, cx, r, a = rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.4), rng.uniform(0.05, 0.2), rng.uniform(-0.3, 0.5)
        im[((x - cx) ** 2 + (y - cy) ** 2 < r**2) & (im > 0)] += a
    im[((x - 0.25) ** 2 + (y + 0.4) ** 2 < 0.01)] = 1.4  # marks the orientation
    p = np.exp(1j * (0.9 * x - 0.6 * y * y + 0.5 * x * y + rng.uniform(0, 6))) if phase else 1
    return im.clip(0) * p


def maps(nc, ny, nx, seed=1):
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid((np.arange(ny) - ny // 2) / ny * 2, (np.arange(nx) - nx // 2) / nx * 2, indexing="ij")
    out = []
    for c in range(nc):
        t = 2 * np.pi * c / nc
        d = (x - 1.1 * np.cos(t)) ** 2 + (y - 1.1 * np.sin(t)) ** 2
        out.append(np.exp(-d / 1.3) * np.exp(1j * (rng.uniform(0, 6) + 0.8 * x * np.cos(t) + 0.8 * y * np.sin(t))))
    s = np.stack(out)
    return s / np.linalg.norm(s, axis=0)


def noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def scan(nc, ny, nx, seed=0, sigma=0.01, scale=1.0, phase=True):
    """k-space (coil, y, x), the object, the maps."""
    o, s = obj(ny, nx, seed, phase), maps(nc, ny, nx, 1)
    return (scale * (fft(s * o) + sigma * noise((nc, ny, nx), 100 + seed))).astype(np.complex64), scale * o, s


def xml(enc, rec, efov=None, rfov=None, limits=None, centre=None, mode="", vendor="", traj="cartesian", fmt="{}", averages=None):
    """(x, y, z) triples; limits of step 1 (min, max)."""
    efov, rfov = efov or enc, rfov or rec

    def space(n, m, f):
        return (
            f"<{n}><matrixSize>"
            + "".join(f"<{a}>{fmt.format(v)}</{a}>" for a, v in zip("xyz", m, strict=True))
            + "</matrixSize><fieldOfView_mm>"
            + "".join(f"<{a}>{v}</{a}>" for a, v in zip("xyz", f, strict=True))
            + f"</fieldOfView_mm></{n}>"
        )

    lo, hi = limits or (0, enc[1] - 1)
    c = enc[1] // 2 if centre is None else centre
    lim = (
        ""
        if limits == "none"
        else (
            f"<kspace_encoding_step_1><minimum>{lo}</minimum><maximum>{hi}</maximum><center>{c}</center></kspace_encoding_step_1>"
            f"<kspace_encoding_step_2><minimum>0</minimum><maximum>{enc[2] - 1}</maximum>"
            f"<center>{enc[2] // 2}</center></kspace_encoding_step_2>"
        )
    )
    if averages is not None:
        lim += f"<average><minimum>0</minimum><maximum>{averages}</maximum><center>0</center></average>"
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"<acquisitionSystemInformation><systemVendor>{vendor}</systemVendor>"
        f"<systemFieldStrength_T>3</systemFieldStrength_T></acquisitionSystemInformation>"
        "<experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>"
        f"<encoding>{space('encodedSpace', enc, efov)}{space('reconSpace', rec, rfov)}"
        f"<encodingLimits>{lim}</encodingLimits><trajectory>{traj}</trajectory>"
        + (
            "<parallelImaging><accelerationFactor><kspace_encoding_step_1>2</kspace_encoding_step_1><kspace_encoding_step_2>1"
            "</kspace_encoding_step_2></accelerationFactor>"
            f"<calibrationMode>{mode}</calibrationMode></parallelImaging>"
            if mode
            else ""
        )
        + "</encoding></ismrmrdHeader>"
    )


def mrd(path, header, lines):
    """`lines`: dicts with data (coil, samples), step (y), and flags (bit numbers), center, dwell, slice, average, z, rep, user5."""
    import ismrmrd

    ds = ismrmrd.Dataset(str(path), "dataset", True)
    ds.write_xml_header(header.encode())
    for line in lines:
        d = np.ascontiguousarray(line["data"], np.complex64)
        a = ismrmrd.Acquisition()
        a.resize(d.shape[1], d.shape[0], 0)
        a.data[:] = d
        a.version = 1
        a.available_channels = d.shape[0]
        a.center_sample = line.get("center", d.shape[1] // 2)
        a.sample_time_us = line.get("dwell", 5.0)
        a.idx.kspace_encode_step_1 = line["step"]
        a.idx.kspace_encode_step_2 = line.get("z", 0)
        a.idx.slice = line.get("slice", 0)
        a.idx.average = line.get("average", 0)
        a.idx.repetition = line.get("rep", 0)
        if "user5" in line:
            a.idx.user[5] = line["user5"]
        for f in line.get("flags", ()):
            a.setFlag(f)
        ds.append_acquisition(a)
    ds.close()
    return path


def columns(n, R, acs, seed=0):
    rng = np.random.default_rng(seed)
    m = np.zeros(n, bool)
    m[n // 2 - acs // 2 : n // 2 - acs // 2 + acs] = True
    m[rng.choice(np.flatnonzero(~m), max(0, round(n / R) - m.sum()), replace=False)] = True
    return m


def fastmri(path, kspace, header=None, mask=None, **attrs):
    """kspace (slice, coil, readout, phase)."""
    with h5py.File(path, "w") as f:
        f["kspace"] = kspace
        if header is not None:
            f["ismrmrd_header"] = header
        if mask is not None:
            f["mask"] = mask
        for k, v in attrs.items():
            f.attrs[k] = v
    return path


def cfl(path, array, dims):
    """`array` in Fortran order of `dims` (16)."""
    dims = list(dims) + [1] * (16 - len(dims))
    Path(f"{path}.hdr").write_text("# Dimensions\n" + " ".join(map(str, dims)) + " \n")
    np.asarray(array, np.complex64).reshape(dims, order="F").ravel(order="F").tofile(f"{path}.cfl")
