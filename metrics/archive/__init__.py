"""What is kept for charts: figures of each minute, five minutes and hour, for up to 30 days."""
