"""Compiled CPU kernels: tiles of sample points, features first (`[feature, point]`).

A tile is small enough to stay in the second-level cache, and its inner loop always runs over
points, so the compiler vectorises it. Every kernel releases the GIL; `render.threads` runs them on
plain Python threads (no OpenMP, nothing that a fork could break).
"""
