"""One clip in, arrays out. Pure: no Prefect, no store, no training."""
