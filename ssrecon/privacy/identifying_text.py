"""Whether words, numbers and XML may say whom, where or when."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from ssrecon.core.geometry import PATIENT_POSITIONS
from ssrecon.privacy.pseudonyms import harmless, own_words, safe_subject

IDENTIFYING_FIELD = re.compile(
    r"patient|subjectname|birth|accession|serial|institution|station|physician|operator|performing|referring"
    r"|study_?(date|time|id|instance|uid)|series_?(date|time|uid|instance)|frame_?of_?reference|measurement_?id|device_?id"
    r"|^(date|time|name|subject|address|phone|comment|comments|history)$",
    re.IGNORECASE,
)
"""Names of fields whose value says whom, where or when, be it a number or a word."""

HEXADECIMAL = re.compile(r"[0-9a-f]{16,64}")
BLANKED = re.compile(
    r"[x0\s.*_-]*|anonym\w*|unknown|none|n/?a|m|f|o|head\s*first\s*\w*|" + "|".join(sorted(PATIENT_POSITIONS)), re.IGNORECASE
)
"""What is left where a value was blanked, the sex, and how somebody lies in the scanner."""

NUMBER = re.compile(r"[-+.,\d\seE]*")
DATE = re.compile(r"\d[-/:]\d|\b(18|19|20)\d{6}|\d\.\d+\.\d|\b\d\d?[ .]\d\d?[ .](18|19|20)\d\d\b|\b(18|19|20)\d\d \d\d? \d")
"""Dates, times of the day, and UIDs."""

LONG_NUMBER = re.compile(r"(?<![\d.])\d{5,}(?![\d.eE])")
MEASURED_FIELD = re.compile(r"frequency|bandwidth|dwell|samples|size|count|scale|max|min|norm|seed|_us$|_ns$|_hz$", re.IGNORECASE)
"""Names of fields whose integers may be long without being anybody's."""

XML_START = re.compile(r"\s*(<\?xml|<ismrmrdHeader)")
XML_OF_PARAMETER_NAMES = frozenset("name identifier coilName".split())
"""Elements of an ISMRMRD header that are called after parameters and coil elements."""

XML_OF_LISTED_WORDS = frozenset(
    "systemVendor systemModel trajectory calibrationMode interleavingDimension multiband_calibration sequence_type diffusionDimension"
    " dependencyType".split()
)
"""Elements whose words are those of a list; `is_known` knows them."""

FORMAT_NAMES = frozenset(
    "dataset xml ismrmrd_header kspace data header mask noise csm padding calibration reconstruction_rss reconstruction_esc"
    " target maps recon_fov encoded_fov recon_matrix version truth real imag #refs# #subsystem#".split()
)
"""Names of groups, data sets and attributes that formats give."""


def is_known(name: str) -> bool:
    """Tell whether the name of a field or part consists of words that formats, this package or its list of harmless words know."""
    return name in FORMAT_NAMES or harmless(name) or own_words(name) == name


def may_identify(field: str, text: str) -> bool:
    """Tell whether a field of this name with this value may say whom, where or when."""
    text = text.strip()
    if BLANKED.fullmatch(text) or HEXADECIMAL.fullmatch(text.lower()):
        return False
    if IDENTIFYING_FIELD.search(field):
        return safe_subject(text) != text
    return not (harmless(text) or _is_measured(field, text))


def _is_measured(field: str, text: str) -> bool:
    if not NUMBER.fullmatch(text) or DATE.search(text):
        return False
    return bool(MEASURED_FIELD.search(field)) or not LONG_NUMBER.search(text)


def identity_of_xml(text: str) -> Iterator[str]:
    """Yield the paths of elements of an ISMRMRD header that may name someone."""
    try:
        root = ElementTree.fromstring(text.rstrip("\0 \n"))
    except ElementTree.ParseError:
        yield "a header that is no XML"
        return

    def walk(node: ElementTree.Element, path: str) -> Iterator[str]:
        tag = node.tag.rpartition("}")[2]
        here = f"{path}/{tag}" if path else tag
        text = (node.text or "").strip()
        if text and tag not in XML_OF_PARAMETER_NAMES and (not is_known(text) if tag in XML_OF_LISTED_WORDS else may_identify(tag, text)):
            yield here
        if any(may_identify(key.rpartition("}")[2], value) for key, value in node.attrib.items() if "schemaLocation" not in key):
            yield f"an attribute of {here}"
        for child in node:
            yield from walk(child, here)

    for child in root:
        yield from walk(child, "")
