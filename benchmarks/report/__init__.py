"""All results on one page: `results/README.md`, and the same as one HTML file."""
