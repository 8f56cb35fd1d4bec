"""The published language: words, models, topics and the envelope that all services and outsiders speak."""
