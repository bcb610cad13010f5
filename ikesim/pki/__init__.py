"""Certificates, trust, revocation, identities, and the decision about them."""
