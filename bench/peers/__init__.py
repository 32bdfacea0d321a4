"""Other servers of agents, measured beside Clew with the same model and the same client."""
