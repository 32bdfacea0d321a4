"""What goes wrong with weights."""


class WeightsError(Exception):
    """Weights could not be found, fetched or trusted. The message says what to do next."""


class SourceError(WeightsError):
    """One source failed; another may still do."""
