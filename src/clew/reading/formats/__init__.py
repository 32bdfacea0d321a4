"""The readers of each format. They run in the child alone, and need only the standard library to import."""
