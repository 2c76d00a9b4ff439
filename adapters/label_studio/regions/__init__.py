"""People written as Label Studio's regions."""
