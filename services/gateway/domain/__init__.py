"""What the gateway decides: who may do what, and what a view shows. Pure."""
