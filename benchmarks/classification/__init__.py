"""Accuracy of networks trained on a small set alone: the field's first table."""
