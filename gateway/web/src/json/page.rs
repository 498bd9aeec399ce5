//! Parameters as the pages of actions show them.

use super::shape::{Param, Shape};

fn shape(shape: &'static Shape) -> String {
    match shape {
        Shape::Text(text) if text.pattern.is_empty() => format!("{} to {} characters", text.min, text.max),
        Shape::Text(text) => {
            let pattern = text.pattern.replace('|', "\\|");
            format!("{} to {} characters, <code>{pattern}</code>", text.min, text.max)
        }
        Shape::Number { min, max } => format!("{min} to {max}"),
        Shape::Flag => "true or false".to_owned(),
        Shape::Time => "a time".to_owned(),
        Shape::Choice(words) => format!("one of {} words", words.len()),
        Shape::Blob { min, max } => format!("{min} to {max} bytes"),
        Shape::List { of, min, max } => format!("{min} to {max} of ({})", self::shape(of)),
        Shape::Map => "names and texts".to_owned(),
        Shape::Structure(members) => parameters(members),
    }
}

/// All of them, in a line.
pub(crate) fn parameters(all: &'static [Param]) -> String {
    let one = |param: &'static Param| {
        let optional = if param.required { "" } else { "?" };
        format!("`{}`{optional} {}", param.name, shape(param.shape))
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}
