"""Remote sessions at the machine: it dials out to a relay, and decides by itself what may be reached."""
