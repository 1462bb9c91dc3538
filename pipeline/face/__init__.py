"""Face encoders: landmarks, mouth, pose, expression, parsing."""
