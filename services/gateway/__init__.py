"""The gateway: cases over HTTP."""
