"""Parcel tracking: scans come in from depots and message queues, go to a database, and are told to carriers and customers.

The service is written the way services are written, honest mistakes included. Check it with

    safeboundary-lint check examples
"""
