"""Archives of what is stored: made beside a running service, checked and put back."""
