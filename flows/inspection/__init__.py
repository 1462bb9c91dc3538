"""One clip on one clock: everything the store knows of it, as a recording for the Rerun viewer."""
