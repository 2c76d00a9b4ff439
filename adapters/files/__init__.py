"""Files of people: clips, poses of other programs, data sets, and predictions that are brought in."""
