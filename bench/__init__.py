"""Benchmarks: how fast Clew is, how close that is to what can be, and what a turn costs in countable things.

make bench              the whole table (about five minutes)
make bench-quick        the same with short measurements
make bench-check        counted costs against recorded ones; part of the tests
make bench-peers        the same turn on other servers, each in an environment of its own
"""
