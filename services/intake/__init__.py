"""Intake: what machines report becomes cases."""
