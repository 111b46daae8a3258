"""Web tasks: a shop, pages, and Farama's MiniWoB++."""
