"""The domain: keypoint schema, people, geometry, the prediction pipeline. No framework, no I/O, no runtime."""
