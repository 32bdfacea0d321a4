"""Why a run is where it is, where its time went, and what to do: for people in front of one that went wrong.

:mod:`~clew.service.explaining.explain` reads the rows; what follows from them is pure.
"""
