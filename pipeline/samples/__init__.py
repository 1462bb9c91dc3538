"""Sample clips that emohead makes itself, with known truth."""
