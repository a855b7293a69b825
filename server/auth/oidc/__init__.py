"""Sign-in with an OpenID Connect provider: we are its client, with the code flow and PKCE."""
