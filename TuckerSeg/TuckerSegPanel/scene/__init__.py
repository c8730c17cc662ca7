"""What appears in the scene: tables, views, sequences, the sample."""
