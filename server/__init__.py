"""HTTP and wiring: the only package that knows Starlette, settings and which adapters exist."""
