"""Work before any worker starts: networks are fetched, prepared and tried, and their engines chosen."""
