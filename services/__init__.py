"""The services of Callout: one room each, talking only over Kafka topics."""
