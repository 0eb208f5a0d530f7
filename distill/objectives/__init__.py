"""What is matched: the objectives that the loop over pixels follows, and what they are made of."""
