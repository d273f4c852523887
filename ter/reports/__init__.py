"""From gated ratings to pages and files."""
