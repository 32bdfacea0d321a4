"""Clew: threads and runs that you own.

The package is laid out in rooms, from the bottom up: :mod:`clew.core` decides, :mod:`clew.store`
remembers, :mod:`clew.bus` wakes, :mod:`clew.model` answers, :mod:`clew.engine` runs,
:mod:`clew.wire` speaks, :mod:`clew.http` serves. Imports point down only.
"""

__version__ = "0.1.0"
