//! Any bytes as a form: never a panic, and the same however it is split.
#![cfg_attr(fuzzing, no_main)]

#[path = "../targets.rs"]
mod targets;

mutate::target!(targets::form);
