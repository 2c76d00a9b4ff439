"""The domain: keypoint schema, people, geometry and the prediction pipeline. No framework, no I/O, no runtime."""
