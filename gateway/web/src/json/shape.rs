//! Shapes of parameters, with the bounds of AWS's API models: what `read.rs` checks values by, and what the page of actions shows.

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Characters.
    Text(Text),
    /// A whole number, both ends included.
    Number { min: i64, max: i64 },
    /// `true` or `false`
    Flag,
    /// Seconds since the epoch.
    Time,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Bytes in base64; how many there may be of them.
    Blob { min: usize, max: usize },
    /// Items of one shape.
    List { of: &'static Shape, min: usize, max: usize },
    /// Names and texts.
    Map,
    /// Members of their own.
    Structure(&'static [Param]),
}

/// Characters of a kind.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// As the model has it; empty for none.
    pub(crate) pattern: &'static str,
    /// Whether a whole value is of the pattern.
    pub(crate) fits: fn(&str) -> bool,
}

/// A parameter, or a member of a structure.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static Shape,
    pub(crate) required: bool,
}

/// One that has to be there.
pub(crate) const fn req(name: &'static str, shape: &'static Shape) -> Param {
    Param { name, shape, required: true }
}

/// One that may.
pub(crate) const fn opt(name: &'static str, shape: &'static Shape) -> Param {
    Param { name, shape, required: false }
}

/// A text of any characters.
pub(crate) const fn text(min: usize, max: usize) -> Shape {
    Shape::Text(Text { min, max, pattern: "", fits: |_| true })
}

/// A text of some.
pub(crate) const fn of((min, max): (usize, usize), pattern: &'static str, fits: fn(&str) -> bool) -> Shape {
    Shape::Text(Text { min, max, pattern, fits })
}
