"""SBL3xx: acknowledging and making durable."""
