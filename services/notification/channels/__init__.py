"""Channels: how messages go out. Each takes a parcel and says what became of it; none raises for a receiver's fault."""
