"""Where a result comes from: versions, commit, device, seeds and a fingerprint of the data, for ``run.json``.

Nothing here names a person, a machine or a folder: a run folder can be sent to anyone.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("ssrecon", "torch", "numpy", "scipy", "h5py", "sigpy", "scikit-image", "ismrmrd", "matplotlib")
END_BYTES = 1 << 20
"""Of a large file, so many bytes at either end enter its fingerprint."""


def provenance(device: torch.device | str, seeds: Sequence[int], fingerprint: str | None) -> dict[str, Any]:
    """Return what is to be kept with a result, ready for JSON.

    Keys: ``date`` (UTC, to the second), ``versions``, ``git_commit`` (None outside a checkout), ``git_modified`` (whether tracked files
    differ from it), ``device`` (what computed), ``cpu``, ``threads``, ``platform``, ``seeds`` and ``data_fingerprint``.
    """
    commit, modified = git_state()
    return {
        "date": datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        "versions": versions(),
        "git_commit": commit,
        "git_modified": modified,
        "device": device_name(device),
        "cpu": cpu_model(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "seeds": list(seeds),
        "data_fingerprint": fingerprint,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of every installed package that a result depends on, and of CUDA and cuDNN where torch has them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["torch"] = str(torch.__version__)  # with its build: +cpu, +cu128
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
        if torch.backends.cudnn.is_available():
            found["cudnn"] = str(torch.backends.cudnn.version())
    return found


def device_name(device: torch.device | str) -> str:
    """Return the model of a GPU, or of the CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return cpu_model() if device.type == "cpu" else device.type


def cpu_model() -> str:
    """Return the processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown CPU"


def git_state(package: Path | None = None) -> tuple[str | None, bool | None]:
    """Return the commit of this code, and whether tracked files differ from it; (None, None) where that cannot be told.

    A package that lies inside somebody else's checkout, in a virtual environment for instance, is not tracked there and has no commit.
    """
    package = Path(__file__).resolve().parent if package is None else package
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--untracked-files=no") if commit else None
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    # GIT_DIR and its like, as set inside git's hooks, would make git look at another repository than the one this file lies in.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def data_fingerprint(files: Iterable[Path | str]) -> str:
    """Return a short hash of data files: of their names (without folders), sizes, and contents.

    Of a file above 2 MiB only the first and the last MiB are read, so that a large archive takes seconds: it tells archives apart and is no
    proof of integrity. The order of the files and the folder they lie in do not matter. Raises OSError for a file that cannot be read.
    """
    return _digest_of_digests(_file_digest(Path(file)) for file in files)


def content_fingerprint(files: Iterable[Path | str]) -> str:
    """Return a hash as `data_fingerprint` does, but of contents alone: files that were renamed have the same."""
    return _digest_of_digests(_file_digest(Path(file), named=False) for file in files)


def _digest_of_digests(digests: Iterable[bytes]) -> str:
    return blake2b(b"".join(sorted(digests)), digest_size=8).hexdigest()


def _file_digest(path: Path, named: bool = True) -> bytes:
    size, name = path.stat().st_size, path.name if named else ""
    digest = blake2b(f"{len(name)}:{name}|{size}|".encode(), digest_size=16)
    with open(path, "rb") as file:
        if size <= 2 * END_BYTES:
            digest.update(file.read())
        else:
            digest.update(file.read(END_BYTES))
            file.seek(-END_BYTES, os.SEEK_END)
            digest.update(file.read(END_BYTES))
    return digest.digest()
