"""Weights on this machine: fetched, checked, and used in a process beside this one."""
