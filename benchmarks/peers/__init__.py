"""The same model, fitted by other programs on the same rows in the same run."""
