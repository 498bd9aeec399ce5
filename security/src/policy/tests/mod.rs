//! The language and its evaluation, against tables and against a second evaluator.

mod dice;
mod grammar;
mod order;
pub(crate) mod reference;
