"""Architecture search: networks are ranked by what they learn from a small proxy of a dataset."""
