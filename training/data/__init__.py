"""From checked products to what a model is trained on: classes, parts, augmentation, corrected labels."""
