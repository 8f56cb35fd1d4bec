"""Workflow: owns the cases and decides every command."""
