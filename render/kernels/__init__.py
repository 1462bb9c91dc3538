"""Compiled CPU kernels: tiles of sample points, features first (`[feature, point]`).

A tile is small enough to stay in the second-level cache, and its inner loop always runs over
points, so the compiler vectorises it; where it cannot, `*_vectors` write the vectors. Training
takes a sheet of many tiles, the hash grid level by level. Every kernel releases the GIL;
`render.threads` runs them on plain Python threads (no OpenMP, nothing that a fork could break).
"""
