"""The commands of `emohead`, one file per group."""
