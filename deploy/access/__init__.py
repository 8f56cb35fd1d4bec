"""Who may do what: one principal for each program, with the least it needs on Kafka and in MongoDB."""
