//! Where content is cut, for ever.
