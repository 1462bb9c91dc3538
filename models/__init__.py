"""Networks from speech to expression, and their trainers."""
