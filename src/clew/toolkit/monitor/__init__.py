"""Following runs."""
