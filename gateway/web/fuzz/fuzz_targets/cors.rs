//! CORS documents and the pages that ask: see `web::checks`.
#![cfg_attr(fuzzing, no_main)]

mutate::target!(web::checks::cors);
