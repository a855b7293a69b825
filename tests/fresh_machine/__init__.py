"""docs/deployment.md followed to the letter on a Debian that has just been made."""
