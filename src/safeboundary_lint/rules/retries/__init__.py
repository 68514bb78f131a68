"""SBL2xx: repeating and deduplicating."""
