"""From checked products to training data: classes, split, augmentation, corrected labels."""
