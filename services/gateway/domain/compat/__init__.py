"""Cases as other products' programs ask for them and are answered: pure, field by field."""
