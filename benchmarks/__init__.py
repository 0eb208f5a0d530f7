"""The commands, the records and the tables."""
