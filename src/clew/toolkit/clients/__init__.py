"""One thin adapter for each client: Clew's own, the openai package's, Azure's."""
