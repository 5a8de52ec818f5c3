"""REST and pages of the data catalogue, of requests and grants, and of who read what."""
