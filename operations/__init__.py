"""What operators run beside the service: each script of `scripts/` is one module here."""
