"""A grammar of simple English short stories: words, sentences, plots."""
