"""Where flags are kept."""
