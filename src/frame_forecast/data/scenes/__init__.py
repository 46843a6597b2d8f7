"""What moving scenes are made of: draws, noise fields, motion, contents, radar."""
