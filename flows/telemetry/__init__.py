"""What a run tells of itself while it goes (log lines, metrics) and once it is over (its cost)."""
