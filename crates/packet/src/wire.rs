//! Views of headers: a check of the length, then fields read in place.
