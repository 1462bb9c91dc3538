"""The cache: a versioned store of aligned features in icechunk and zarr."""
