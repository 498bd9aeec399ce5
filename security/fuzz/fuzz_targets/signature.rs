//! Any bytes as a request head: never a panic, and never a signature out of nowhere.
#![cfg_attr(fuzzing, no_main)]

#[path = "../targets.rs"]
mod targets;

mutate::target!(targets::signature);
