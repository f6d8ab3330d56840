"""Who may see the dashboard, and who may act on it."""
