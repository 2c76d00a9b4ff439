"""The networks: model files, engines, detector and pose runners. Independent of Label Studio."""
