"""One file per corpus: its names, labels, traps."""
