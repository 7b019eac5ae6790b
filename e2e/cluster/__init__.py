"""A real Kubernetes cluster from one command, for end-to-end tests: see `README.md` beside this."""
