"""Laws of length in every module of the package, and of language in every file."""
