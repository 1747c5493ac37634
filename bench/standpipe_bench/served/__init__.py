"""What serving costs and gains: a server of this project against the same model without one, as ratios."""
