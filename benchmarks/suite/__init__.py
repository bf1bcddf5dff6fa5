"""The benchmark suite: rows of work, done by sightline, by plain PyTorch loops, and by what one would use instead.

A row is first compared with the plain loop in float64; one that misses its tolerance is printed DISAGREE and not
timed. Peers take turns in one process.
"""
