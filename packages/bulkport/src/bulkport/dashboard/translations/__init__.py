"""The pages' texts in languages other than English, each a dictionary from the English text."""
