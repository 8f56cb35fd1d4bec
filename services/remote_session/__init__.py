"""Remote sessions: who may reach a machine, for how long, and the relay that carries it."""
