//! Documents of lifecycle rules: see `web::checks`.
#![cfg_attr(fuzzing, no_main)]

mutate::target!(web::checks::lifecycle);
