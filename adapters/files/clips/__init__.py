"""Files of posed clips: `.pose`, OpenPose JSON, COCO-WholeBody JSON, CSV; written frame by frame."""
