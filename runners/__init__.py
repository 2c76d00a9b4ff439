"""The networks: model files, runtime sessions, detector and pose runners. Knows nothing of Label Studio."""
