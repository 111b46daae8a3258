"""Databases of a real server: MariaDB or MySQL, given by a URL or started for this process alone."""
