"""The command `callout`."""
