//! Spanned documents and diagnostics: YAML/JSON trees with places, all mistakes of a file at once, nearest spellings.
