"""Speech encoders: sound, prosody, words."""
