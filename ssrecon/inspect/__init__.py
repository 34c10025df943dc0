"""Looking at scans before anything is trained on them: how they were sampled, what was done to them, whether they may train."""
