//! Forms and URLs of IAM and STS: see `web::checks`.
#![cfg_attr(fuzzing, no_main)]

mutate::target!(web::checks::query);
