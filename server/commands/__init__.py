"""What operators do from a shell: each command works beside a running server, too."""
