"""How networks are trained on images: the one loop, its recipes, and how it is made fast."""
