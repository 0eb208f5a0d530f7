"""What small sets are good for: continual learning with Avalanche."""
