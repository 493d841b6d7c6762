"""Laws of length and language, held in every module of the package."""
