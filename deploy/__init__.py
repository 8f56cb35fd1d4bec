"""How Callout is run: the embedded stack, the topics, the command line."""
