"""What things cost, measured side by side: one file of `parts/` is one table."""
