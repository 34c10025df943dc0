"""What may be told of where a scan comes from: harmless words stay readable, all else becomes a hash whose key stays with the user."""

import builtins
import errno
import os
import re
import secrets
import sys
from functools import cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path

from ssrecon.core.errors import BadInput

KEEP_NAMES = "SSRECON_KEEP_NAMES"
"""Set to 1 in the environment, as ``--keep-names`` does: names of files and folders stay, for data that are public."""
KEY_BYTES = 32
PSEUDONYM = re.compile(r"[a-z]-[0-9a-f]{16}")

WORDS = frozenset(
    # What is scanned, and how data sets and their parts are called.
    "file brain brains knee prostate head heart cardiac spine phantom scan"
    " subject volunteer slice vol volume case train val test validation"
    " trainingset validationset testset challenge multicoil singlecoil coil full sample undersample image images"
    " fullsample accfactor task files recon calib"
    " raw data kspace noise acs mrd twix vb vd ve xa poisson undersampled accelerated study semi synthetic simulated measured ssrecon coils"
    # Sequences, contrasts, orientations.
    " t1 t2 pd t1w t2w pdw t1rho flair stir gre tse fse se epi mprage space spgr flash trufi bssfp haste vibe dess dwi adc swi tof"
    " ax cor sag tra axt1 axt2 axpd axflair axt1pre axt1post axt1c pre post fs fat fatsat corpd corpdfs fbk mtr cine sax lax lvot aorta"
    " ssfp turbospinecho senmap weighted t1weighted t2weighted tr te ti sub"
    " aortic blackblood flow2d lge mapping t1map t2map t2smap tagging rad radial cartesian cart"
    # Counters and suffixes.
    " meas mid fid rep repetition echo frame run part readout encoding set h5 hdf5 dat cfl hdr mat npy lst scans subjects slices volumes"
    " kus mask pattern sens traj calib calibration uniform ktuniform ktgaussian ktradial gaussian"
    # Makers and models.
    " siemens healthineers healthcare ge medical systems philips uih united imaging canon bruker hitachi ingenia prisma skyra aera avanto"
    " verio trio triotim biograph umr magnetom prismafit skyrafit espree symphony sola vida lumina terra signa discovery achieva syngo mr"
    " numaris".split()
)
"""Words that say what was scanned or how, never whom. Only what is listed here stays readable."""

PATH_WORDS = frozenset("archive archives store stores my mine own mnt srv home users work workspace scratch tmp runs".split())
"""Words of paths, besides."""

FASTMRI_NAME = re.compile(r"(file\d{7}|file_brain_AX[A-Z0-9]+_\d{3}_\d{7})(\.h5)?", re.IGNORECASE)
"""fastMRI's names, whose seven digits its publishers gave."""

TOKEN = re.compile(r"[^\W_]+")
NUMBER_DIGITS = 4
"""Numbers of more digits, or several in a row that have more together, could be a date, a telephone or an accession number."""

WORD_OR_NUMBER = re.compile(r"\b[a-z]-[0-9a-f]{16}\b|\bfile(?:_brain_AX[A-Z0-9]+_\d{3}_)?\d{7}\b|\d++(?:[\s_.:/\\-]+\d++)+|[^\W_]+")
"""Pseudonyms, fastMRI's names, numbers with what looks like a part of them (dates, times, UIDs), words."""

DECIMAL = re.compile(r"\d{1,4}\.\d{1,6}")
OWN_WORDS = "own_words.txt"
"""Beside this file: the words of the texts in the source of whatever reads and prepares. ``python -m tests.privacy.vocabulary`` writes it
anew, and a test holds it against the source."""

FAILURE_WORDS = frozenset(
    "unable synchronously open opened file signature found not truncated eof sblock base addr stored object doesn exist can read data"
    " filter returned failure during required address undefined end reached before buffer bytes errno no such directory permission denied"
    " error message wrong version number bad type invalid dtype int uint float complex bool str list tuple dict none shape could not"
    " convert string unexpected mat hdf5".split()
)


def key_file() -> Path:
    """Return where the key lies: ``SSRECON_KEY_FILE``, else ``ssrecon/key`` in the user's configuration folder."""
    if told := os.environ.get("SSRECON_KEY_FILE"):
        return Path(told)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ssrecon" / "key"


def pseudonym(identity: str, kind: str = "s") -> str:
    """Return one short name for one identity and key: ``s-`` and 8 bytes of keyed BLAKE2b in hexadecimal.

    Without the key it can neither be read off nor tried out. Raises `BadInput` for a key file that is damaged or cannot be made.

    Aumasson et al. BLAKE2: simpler, smaller, fast as MD5. ACNS (2013). doi:10.1007/978-3-642-38980-1_8
    """
    return f"{kind}-{blake2b(identity.encode('utf-8', 'surrogateescape'), digest_size=8, key=_read_key(key_file())).hexdigest()}"


def harmless(text: str) -> bool:
    """Tell whether a name can be nobody's: each of its words is on the list, or is a number too short to be anyone's.

    Names with initials (``E_M_1947``, ``K 4711``) are not harmless.
    """
    if FASTMRI_NAME.fullmatch(text):
        return True
    tokens = TOKEN.findall(text.lower())
    letters, words = sum(map(_is_letter, tokens)), any(map(_is_listed, tokens))
    if letters > 1 or (letters and not words and len(tokens) > 1):
        return False
    digits = 0
    for token in tokens:
        if token.isdecimal():
            digits += len(token)  # neighbours count together: 1970-01-01 is a date, and so is brain1970-01-01
            if digits > NUMBER_DIGITS:
                return False
        elif not _is_letter(token):
            if not _is_listed(token):
                return False
            digits = min(sum(map(str.isdecimal, token)), NUMBER_DIGITS) if token[-1].isdecimal() and token not in WORDS else 0
    return True


def safe_name(name: str) -> str:
    """Return a name of a file or folder, or an id made of several with ``/``, in which parts that are not harmless are pseudonyms."""
    if os.environ.get(KEEP_NAMES) == "1":
        return name
    parts = (part if PSEUDONYM.fullmatch(part) or harmless(part) else pseudonym(part, "v") for part in name.split("/"))
    return "/".join(parts)


def safe_place(path: str) -> str:
    """Return a path in which each part that may name someone is a pseudonym."""
    return "/".join(part if part.lower() in PATH_WORDS else safe_name(part) for part in path.split("/"))


def safe_reason(reason: str, *files: Path) -> str:
    """Return what was wrong with a file in words that others may read.

    Parts of the file's path are replaced by their pseudonyms; of the rest our own words stay (`own_words`).
    """
    places = {part for file in files for part in (*file.parts, file.stem) if own_words(part) != part}
    for part in sorted(places, key=len, reverse=True):
        # Whole words only, and none of ours: a folder may be called `in`.
        reason = re.sub(rf"(?<![^\W_]){re.escape(part)}(?![^\W_])", safe_place(part).replace("\\", r"\\"), reason)
    return own_words(reason)


def own_words(text: str) -> str:
    """Return a note or reason in which a ``…`` stands for whatever a file may have put into it.

    What stays is a word of this package's own texts (`own_vocabulary`), a harmless one, a pseudonym, or a number that is too short to be
    anyone's: so a file's text cannot come out in a sentence of ours, whichever reader or library quoted it.
    """
    return WORD_OR_NUMBER.sub(lambda found: found[0] if _is_own_word(found[0]) else "…", text)


def safe_text(text: str) -> str:
    """Return a free text as it is where all its words are on the list, or else one pseudonym for all of it: equal texts stay equal."""
    return text if PSEUDONYM.fullmatch(text) or harmless(text) else pseudonym(text, "t")


def safe_subject(identity: str) -> str:
    """Return the pseudonym of a subject. A pseudonym stays what it is, and so does a harmless name with a word in it (``volunteer-1``)."""
    named = re.search(r"[^\W\d_]", identity) is not None and harmless(identity)
    return identity if PSEUDONYM.fullmatch(identity) or named else pseudonym(identity)


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isalpha()


def _is_listed(token: str) -> bool:
    if token in WORDS or re.fullmatch(r"mid\d{1,5}|fid\d{1,6}|umr[0-9a-z]{3}|t[12]\d\d|\d{1,2}(?:t|d|ch)|\d{4}v|(?:[a-e]|xa)\d\d", token):
        return True
    return _is_word_with_number(token)


def _is_word_with_number(token: str) -> bool:
    """Tell whether a word on the list has a number behind it: ``slice12``, ``axt1001``, CMRxRecon's ``P007`` and ``Center001``."""
    if re.fullmatch(r"(?:p|r|s)\d{1,3}|(?:center|centre)\d{1,4}", token):
        return True
    counted = re.fullmatch(r"([a-z]+|[a-z]*(?:t1|t2))(\d{1,4})", token)
    return counted is not None and counted[1] in WORDS


def _is_own_word(piece: str) -> bool:
    if PSEUDONYM.fullmatch(piece) or FASTMRI_NAME.fullmatch(piece) or DECIMAL.fullmatch(piece):
        return True
    letters = re.findall(r"[^\W\d_]+", piece.lower())
    numbers = re.findall(r"\d+", piece)
    if not letters:
        return sum(map(len, numbers)) <= NUMBER_DIGITS
    if not all(word in own_vocabulary() for word in letters):
        return _is_listed(piece.lower())
    # 320x320x16 is a matrix.
    return all(len(number) <= NUMBER_DIGITS for number in numbers) and (len(numbers) < 2 or set(letters) == {"x"})


@cache
def own_vocabulary() -> frozenset[str]:
    """Return the words of our own texts on reading and preparing, and those that HDF5 and Python explain failures with."""
    own = resources.files(__package__).joinpath(OWN_WORDS).read_text(encoding="utf-8").split()
    of_the_system = {word for code in errno.errorcode for word in re.findall(r"[^\W\d_]+", os.strerror(code).lower())}
    errors = {name.lower() for name in dir(builtins) if name.endswith(("Error", "Warning"))}
    return WORDS | FAILURE_WORDS | of_the_system | errors | frozenset(own) | frozenset("abcdefghijklmnopqrstuvwxyz")


def _read_key(path: Path) -> bytes:
    if not path.exists():
        _make_key(path)
    try:
        key, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise BadInput(path, found=f"a key that cannot be read ({error.strerror})", expected="the key of the pseudonyms") from None
    if len(key) != KEY_BYTES:
        raise BadInput(path, found=f"a key of {len(key)} bytes", expected=f"{KEY_BYTES}, as they were made; without them names change")
    if os.name == "posix" and mode & 0o077:
        raise BadInput(path, found=f"a key that others may read (mode {mode & 0o777:o})", expected="mode 600: chmod 600 the file")
    return key


def _make_key(path: Path) -> None:
    """Make a new key, whole or not at all. Of several processes that make one at once, the first wins."""
    made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(made, path)
        except FileExistsError:
            return
        print(f"ssrecon: the key of the pseudonyms was made: {path}. Keep it, and keep it to yourself.", file=sys.stderr)
    except OSError as error:
        raise BadInput(
            path, found=f"no place for the key ({error.strerror})", expected="a folder to write in, or SSRECON_KEY_FILE"
        ) from None
    finally:
        made.unlink(missing_ok=True)
