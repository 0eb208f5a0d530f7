"""Where random networks look: their spatial attention maps, and how far they agree."""
