"""What e2e/run needs: the packages of others, and a server."""
