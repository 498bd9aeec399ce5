//! Any bytes as an aws-chunked body: never a panic, never more than declared, the same however it is split.
#![cfg_attr(fuzzing, no_main)]

#[path = "../targets.rs"]
mod targets;

mutate::target!(targets::chunked);
