//! Any text as a policy of IAM: never a panic, and a Deny always denies.
#![cfg_attr(fuzzing, no_main)]

#[path = "../targets.rs"]
mod targets;

mutate::target!(targets::document);
