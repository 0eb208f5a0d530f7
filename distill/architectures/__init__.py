"""One file is one family of networks; see `distill.networks` for what a file must offer."""
