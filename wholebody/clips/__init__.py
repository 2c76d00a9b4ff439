"""Keypoints in every frame of a clip: people followed, parts found again, trajectories steadied."""
