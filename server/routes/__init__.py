"""One module a resource: parse, call, answer. Request models live beside their route."""
