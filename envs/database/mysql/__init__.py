"""MySQL 8 as agents use it, emulated on SQLite: `dialect.MySQL` is the whole of it, and slow to import."""
