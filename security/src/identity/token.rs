//! What a session's token says.

/// What a session's token says, once it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {}
