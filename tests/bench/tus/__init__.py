"""tuspyserver, and a raw floor, beside our own way of files."""
