"""Two endpoints with everything around them: their PKI, its services, and the stories they play."""
