"""What notification decides: who is told what, by which channel, when, and what becomes of each try; all pure."""
