"""Calendars of working days and terms by region, read from CSV files and recorded on the ledger."""
