"""The literature's theorems as executable claims."""
