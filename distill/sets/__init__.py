"""Sets as files: those that a command needs, made first; kept, found, looked at and put out."""
