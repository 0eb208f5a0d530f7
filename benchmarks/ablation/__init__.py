"""What each setting of a method is worth; its records are those of benchmarks/classification."""
