"""The domain: keypoint schema, people, geometry, prediction pipeline. No framework, no I/O, no runtime."""
