"""Poses in the forms of other programs: OpenPose, `.pose`, COCO with 17 keypoints, MMPose, YOLO."""
