"""TV-L1 in Numba, on any processor."""
