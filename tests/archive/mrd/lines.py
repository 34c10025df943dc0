"""ISMRMRD files for tests: acquisition headers that a test may change, and their samples, written as the standard lays them out."""

from pathlib import Path

import h5py
import numpy as np

NOISE, CALIBRATION, CALIBRATION_AND_IMAGING, REVERSE, NAVIGATION, PHASECORR, LAST, COMPRESSED = 19, 20, 21, 22, 23, 24, 25, 53

COUNTERS = [
    (name, "<u2")
    for name in (
        "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition", "set", "segment",
    )
] + [("user", "<u2", (8,))]  # fmt: skip

HEAD = np.dtype(
    [
        ("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4"), ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", (3,)), ("number_of_samples", "<u2"), ("available_channels", "<u2"), ("active_channels", "<u2"),
        ("channel_mask", "<u8", (16,)), ("discard_pre", "<u2"), ("discard_post", "<u2"), ("center_sample", "<u2"),
        ("encoding_space_ref", "<u2"), ("trajectory_dimensions", "<u2"), ("sample_time_us", "<f4"), ("position", "<f4", (3,)),
        ("read_dir", "<f4", (3,)), ("phase_dir", "<f4", (3,)), ("slice_dir", "<f4", (3,)), ("patient_table_position", "<f4", (3,)),
        ("idx", COUNTERS), ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,)),
    ]
)  # fmt: skip


def heads(count: int, coils: int, samples: int, **fields: object) -> np.ndarray:
    """Headers of `count` acquisitions; `fields` are header fields or counters, one value or one a line."""
    made = np.zeros(count, HEAD)
    made["number_of_samples"], made["active_channels"], made["available_channels"] = samples, coils, coils
    made["center_sample"], made["sample_time_us"], made["version"] = samples // 2, 5.0, 1
    for name, value in fields.items():
        if name in dict(HEAD.fields):
            made[name] = value
        else:
            made["idx"][name] = value
    return made


def flag(*bits: int) -> int:
    return sum(1 << (bit - 1) for bit in bits)


def header_xml(
    matrix: tuple[int, int, int],
    kept: int | None = None,
    limits: tuple[int, int] | None = None,
    centre: int | None = None,
    mode: str = "",
    trajectory: str = "cartesian",
    noise_bandwidth: float | None = None,
    vendor: str = "",
    patient: str = "",
    measurement: str = "",
) -> str:
    """A header of one encoding; `matrix` is (z, y, x), `kept` the samples of a readout without its oversampling."""
    z, y, x = matrix
    limits = limits or (0, y - 1)
    system = f"<systemVendor>{vendor}</systemVendor><systemFieldStrength_T>3.0</systemFieldStrength_T>"
    if noise_bandwidth:
        system += f"<relativeReceiverNoiseBandwidth>{noise_bandwidth}</relativeReceiverNoiseBandwidth>"

    def space(name: str, size: int) -> str:
        return (
            f"<{name}><matrixSize><x>{size}</x><y>{y}</y><z>{z}</z></matrixSize>"
            f"<fieldOfView_mm><x>{size}</x><y>{y}</y><z>{z}</z></fieldOfView_mm></{name}>"
        )

    def step(number: int, last: int, middle: int) -> str:
        name = f"kspace_encoding_step_{number}"
        return f"<{name}><minimum>0</minimum><maximum>{last}</maximum><center>{middle}</center></{name}>"

    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        + (f"<subjectInformation><patientID>{patient}</patientID></subjectInformation>" if patient else "")
        + f"<measurementInformation><measurementID>{measurement}</measurementID><protocolName>test</protocolName></measurementInformation>"
        + f"<acquisitionSystemInformation>{system}</acquisitionSystemInformation>"
        + "<experimentalConditions><H1resonanceFrequency_Hz>128000000</H1resonanceFrequency_Hz></experimentalConditions>"
        + f"<encoding>{space('encodedSpace', x)}{space('reconSpace', kept or x)}<encodingLimits>"
        + step(1, limits[1], y // 2 if centre is None else centre)
        + step(2, z - 1, z // 2)
        + f"</encodingLimits><trajectory>{trajectory}</trajectory>"
        + "<parallelImaging><accelerationFactor><kspace_encoding_step_1>1</kspace_encoding_step_1>"
        + "<kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor>"
        + (f"<calibrationMode>{mode}</calibrationMode>" if mode else "")
        + "</parallelImaging></encoding></ismrmrdHeader>"
    )


def write(path: Path, xml: str, *parts: tuple[np.ndarray, np.ndarray]) -> Path:
    """Acquisitions of one or several kinds, in this order; samples are (lines, coils, samples)."""
    dtype = np.dtype([("head", HEAD), ("traj", h5py.vlen_dtype(np.float32)), ("data", h5py.vlen_dtype(np.float32))])
    rows = np.empty(sum(len(head) for head, _ in parts), dtype)
    rows["head"] = np.concatenate([head for head, _ in parts])
    lines = [np.ascontiguousarray(line, np.complex64).view(np.float32).ravel() for _, samples in parts for line in samples]
    for row, line in enumerate(lines):
        rows["data"][row], rows["traj"][row] = line, np.zeros(0, np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/data", data=rows)
        file.create_dataset("dataset/xml", data=[xml], dtype=h5py.string_dtype())
    return path


def complex_noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Complex Gaussian, E|n|^2 = 1."""
    draw = np.random.default_rng(seed)
    return ((draw.standard_normal(shape) + 1j * draw.standard_normal(shape)) / np.sqrt(2)).astype(np.complex64)
