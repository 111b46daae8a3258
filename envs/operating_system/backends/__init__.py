"""Where sandboxes come from: bubblewrap in its three ways, or Docker; chosen by trying."""
