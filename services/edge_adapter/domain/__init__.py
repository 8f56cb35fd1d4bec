"""What the edge adapter decides: who speaks, what a message says, what is refused, what is known of a device."""
