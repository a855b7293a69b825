"""What operators do to flags from a shell: parse, one call, answer (docs/flags-cli.md)."""
