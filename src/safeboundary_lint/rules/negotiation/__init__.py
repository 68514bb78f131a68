"""SBL5xx: fallback and downgrade."""
