"""How people and machines show who they are: passwords, links, sessions, tokens, OIDC."""
