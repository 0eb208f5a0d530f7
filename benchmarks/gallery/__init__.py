"""Sets side by side on one sheet: the same classes by every method, and what each is worth."""
