"""The phantom archive, the embedded default: random heads, real physics, scans that are made as they are read.

In come a seed and sizes, out come scans. fields -> head -> anatomy (layers of tissue) -> contrast (signal) -> acquisition (phase, coils,
k-space, noise) -> archive, which is to be read first. `ssrecon.simulation` exports what is public here.
"""
