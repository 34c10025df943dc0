"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which has an s unless the number is 1: ``1 scan``, ``3 scans``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
