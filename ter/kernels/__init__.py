"""Numba kernels: arrays in, arrays out; no tables, no printing, no raising."""
