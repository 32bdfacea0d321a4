"""What a program needs to hold conversations with agents: against Clew, or any service of its wire."""
