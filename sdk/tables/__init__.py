"""Tables in files, CSV, Excel and JSON: their lines one after another under limits, and what is said of those that are wrong."""
