"""What any long-running program needs, and no science."""
