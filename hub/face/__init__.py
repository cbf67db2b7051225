"""Speaks to people and protocols: pages, the service, the command line. Decides nothing."""
