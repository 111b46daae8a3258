"""cmat-env: train teams of language-model agents by environment feedback."""
