"""The kinds of certificate, one file each: a `Kind` with the word, the hope and the maker (`certificates.kind`)."""
