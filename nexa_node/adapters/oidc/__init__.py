"""OpenID Connect: an issuer elsewhere that says who somebody is."""
