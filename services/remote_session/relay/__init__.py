"""The relay: where edges dial in and technicians come to, and nothing but ciphertext passes between them."""
