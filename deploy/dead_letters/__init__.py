"""Dead letters as an operator sees them: looked at, sent to their origin again, or dropped."""
