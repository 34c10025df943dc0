"""Sampling patterns for retrospective studies, one a file.

In come a matrix and a generator, out comes the mask of what is kept; ``base.py`` says what a pattern is and applies it to a `Scan`.
"""
