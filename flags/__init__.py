"""Who gets which variant, and why."""
