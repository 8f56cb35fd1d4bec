"""The embedded stack: a real Kafka and a real MongoDB without Docker or a system Java."""
