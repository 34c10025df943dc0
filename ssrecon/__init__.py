"""ssrecon: train MRI reconstruction on undersampled k-space without ground truth, and compare it honestly."""
