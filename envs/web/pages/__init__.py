"""Steps on web pages, as in Mind2Web."""
