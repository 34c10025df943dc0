"""Twix files for tests: VE with twixtools' own writer, VB byte by byte (twixtools writes no VB)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

COUNTERS = ("Lin", "Ave", "Sli", "Par", "Eco", "Phs", "Rep", "Set", "Seg")


@dataclass
class Line:
    """One line: samples (coils, samples), what its header says, and twixtools' names of its flags."""

    samples: np.ndarray
    flags: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    centre: tuple[int, int, int] = (0, 0, 0)
    """Column, line, partition."""
    cut: tuple[int, int] = (0, 0)
    channels: tuple[int, ...] | None = None
    place: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Position (sagittal, coronal, transversal) and quaternion of its slice."""


def lines(kspace: np.ndarray, rows: Sequence[int], flags: Sequence[tuple[str, ...]] | None = None, **options) -> list[Line]:
    """Lines of a (coils, y, x) k-space; `options` are counters, or `centre` and `cut`."""
    _, y, x = kspace.shape
    told = {name: options.pop(name) for name in ("centre", "cut") if name in options}
    told.setdefault("centre", (x // 2, y // 2, 0))
    return [
        Line(kspace[:, row], flags=flags[i] if flags else (), counters={"Lin": int(row), **options}, **told) for i, row in enumerate(rows)
    ]


def protocol(
    matrix: tuple[int, int, int], kept: int | None = None, patient: str = "", meas: str = "", config: str = "", **settings
) -> bytes:
    """A protocol for a matrix (z, y, x) with one millimetre a pixel; `kept` is x without its oversampling. A setting of None is left out;
    two underscores in a name are a dot."""
    z, y, x = matrix
    kept = kept or x
    told = {
        "ulVersion": "51130001", "tSequenceFileName": '"%SiemensSeq%\\gre"', "tProtocolName": '"a test"', "sKSpace.lBaseResolution": kept,
        "sKSpace.lPhaseEncodingLines": y, "sKSpace.lPartitions": z if z > 1 else 16, "sKSpace.ucDimension": "0x4" if z > 1 else "0x2",
        "sKSpace.ucTrajectory": "0x1", "sSliceArray.asSlice[0].dThickness": z, "sSliceArray.asSlice[0].dPhaseFOV": y,
        "sSliceArray.asSlice[0].dReadoutFOV": kept, "sRXSPEC.alDwellTime[0]": 5000, "sPat.ucRefScanMode": "0x1",
        "sTXSPEC.asNucleusInfo[0].lFrequency": 123263034,
    }  # fmt: skip
    for name, value in settings.items():
        told[name.replace("__", ".")] = value
    text = "".join(f"{name} = {value}\n" for name, value in told.items() if value is not None)
    number = f'<ParamString."PatientID">  {{ "{patient}" }}\n' if patient else ""
    parts = {
        "Config": f'<XProtocol>\n{number}<ParamString."tPatientName"> {{ "DOE^JANE" }}\n{config}',
        "Dicom": '<XProtocol>\n<ParamString."Manufacturer"> { "SIEMENS" }\n<ParamString."ManufacturersModelName"> { "Skyra" }\n'
        '<ParamString."SoftwareVersions"> { "syngo MR E11" }\n<ParamString."DeviceSerialNumber"> { "45385" }\n'
        f'<ParamDouble."flReadoutOSFactor"> {{ <Precision> 6 {x / kept:.6f} }}\n'
        '<ParamDouble."flMagneticFieldStrength"> { <Precision> 6 2.893620 }\n',
        "Meas": f'<XProtocol>\n<ParamLong."iNoOfFourierColumns"> {{ {x} }}\n<ParamArray."alRegridMode"> {{ }}\n{meas}',
        "MeasYaps": f"### ASCCONV BEGIN ###\n{text}\n### ASCCONV END ###",
    }
    body = b"".join(name.encode() + b"\0" + struct.pack("<I", len(part)) + part.encode() for name, part in parts.items())
    size = 8 + len(body)
    return struct.pack("<II", size + (-size % 32), len(parts)) + body + b"\0" * (-size % 32)


def write(path: Path, *measurements: tuple[bytes, Sequence[Line]]) -> Path:
    """Measurements, each a protocol and its lines, into one VE file."""
    import twixtools
    from twixtools.mdb import Mdb_local
    from twixtools.mdh_def import Channel_header

    made = []
    for header, acquired in measurements:
        blocks = []
        for line in acquired:
            block = Mdb_local(line.samples)
            fill(block.mdh, line)
            block.channel_hdr = [Channel_header(ChannelId=c) for c in line.channels or range(len(line.samples))]
            blocks.append(block)
        end = Mdb_local()
        end.add_flag("ACQEND")
        made.append({"hdr_str": np.frombuffer(header, "S1"), "mdb": [*blocks, end]})
    twixtools.write_twix(made, str(path))
    return path


def write_vb(path: Path, header: bytes, acquired: Sequence[Line], end: bool = True) -> Path:
    """One measurement as a VB file: each channel bears the whole header of its line."""
    from twixtools.mdh_def import VB17_header, mask_dict

    body = [header]
    for number, line in enumerate(acquired, start=1):
        for channel, samples in enumerate(np.ascontiguousarray(line.samples, np.complex64)):
            mdh = VB17_header(ScanCounter=number, SamplesInScan=len(samples), UsedChannels=len(line.samples), ChannelId=channel)
            fill(mdh, line)
            body += [bytes(mdh), samples.tobytes()]
    if end:
        body.append(bytes(VB17_header(EvalInfoMask=1 << mask_dict["ACQEND"], SamplesInScan=16, UsedChannels=1)) + b"\0" * 128)
    path.write_bytes(b"".join(body))
    return path


def fill(mdh, line: Line) -> None:
    from twixtools.mdh_def import mask_dict

    mdh.EvalInfoMask = sum(1 << mask_dict[flag] for flag in line.flags)
    mdh.CenterCol, mdh.CenterLin, mdh.CenterPar = line.centre
    if line.place is not None:
        mdh.SliceData.SlicePos.Sag, mdh.SliceData.SlicePos.Cor, mdh.SliceData.SlicePos.Tra = line.place[0]
        mdh.SliceData.Quaternion[:] = line.place[1]
    mdh.CutOff.Pre, mdh.CutOff.Post = line.cut
    for name, value in line.counters.items():
        assert name in COUNTERS
        setattr(mdh.Counter, name, int(value))
