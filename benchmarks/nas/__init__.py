"""Architecture search: how well a small proxy ranks networks."""
