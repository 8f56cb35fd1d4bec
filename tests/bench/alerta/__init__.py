"""Alerta and Callout side by side: the same signals, the same clients, the same database server."""
