"""AWS: counting, typed actions, and secrets that it keeps."""
