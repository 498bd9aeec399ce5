//! Any text as a form's policy: never a panic, and an extra field never passes.
#![cfg_attr(fuzzing, no_main)]

#[path = "../targets.rs"]
mod targets;

mutate::target!(targets::policy);
