"""SBL1xx: clocks and order."""
