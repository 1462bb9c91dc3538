"""Which of two videos people prefer: a blinded page on this machine, and the table of its votes."""
