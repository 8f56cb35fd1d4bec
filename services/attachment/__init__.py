"""Files of cases: received, kept, looked through, handed out."""
