"""Tools: functions that a model may ask a program to run."""
