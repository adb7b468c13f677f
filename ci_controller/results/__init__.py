"""What jobs leave behind: found in their containers, read, and kept."""
