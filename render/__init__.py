"""From expression and pose to pictures: the radiance field of one head, and video out."""
