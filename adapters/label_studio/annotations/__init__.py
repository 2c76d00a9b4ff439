"""Label Studio's regions read into people."""
