"""Holding conversations."""
