"""SBL4xx: bounded work on input."""
