"""Class-incremental learning with a small replay buffer."""
