"""What touches the world outside the process: one outside library each, none imports another."""
