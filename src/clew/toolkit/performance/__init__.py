"""Measuring runs."""
