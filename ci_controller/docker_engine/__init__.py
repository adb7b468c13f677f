"""Docker, spoken to through its SDK: connections, deadlines, streams, configuration."""
