"""Bytes over HTTP, for the gateway: uploads in one go and by tus 1.0, downloads, links that hold once."""
