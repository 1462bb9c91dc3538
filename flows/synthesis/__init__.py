"""The parts of the flow `synthesize`: what is heard, where the head is, what lies round it."""
