"""What the machine must remember: jobs in SQLite, zips and logs as files."""
