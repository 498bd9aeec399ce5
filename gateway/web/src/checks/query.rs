//! What must hold of any form of IAM's and STS's, and of any URL.

use crate::query::form::Form;
use crate::query::read::read;
use crate::query::{Args, QueryError, Row, Service};
use crate::{iam, sts};

/// Never a panic; a URL is read as a body is; what has one parameter more than its operation has is refused, whatever else it says.
/// Whether some operation reads it.
pub(super) fn check(input: &[u8]) -> bool {
    let Ok(form) = Form::of_body(input) else { return false };
    let text = std::str::from_utf8(input).expect("a form that is not UTF-8 was read");
    let url = Form::of_url(text);
    let signs = text.contains("X-Amz-") || text.contains('%') || text.contains('+');
    assert!(signs || url.as_ref().ok() == Some(&form), "a URL of the same is another: {url:?}");
    let more = format!("{text}&{UNHEARD}=1");
    let more = Form::of_body(more.as_bytes()).ok();
    let services: [&Service; 2] = [&iam::SERVICE, &sts::SERVICE];
    let mut rest = form.clone();
    let (action, _version) = (rest.take("Action").unwrap_or_default(), rest.take("Version"));
    let mut is_read = false;
    for row in services.into_iter().flat_map(Service::rows) {
        let args = read(rest.clone(), row.name, row.parameters);
        is_read |= args.is_ok() && row.name == action;
        judge(row, &args);
        if let Some(mut more) = more.clone().filter(|_| !text.contains(UNHEARD)) {
            more.take("Action");
            more.take("Version");
            let refused = read(more, row.name, row.parameters);
            assert!(refused.is_err(), "{} takes what it has not heard of", row.name);
        }
    }
    is_read
}

/// A parameter that no operation has.
const UNHEARD: &str = "An.Unheard.Of";

fn judge(row: &Row, args: &Result<Args, QueryError>) {
    match args {
        Ok(args) => {
            for parameter in row.parameters.iter().filter(|parameter| parameter.required) {
                assert!(args.has(parameter.name), "{} without its {}", row.name, parameter.name);
            }
        }
        Err(error) => {
            let known =
                ["InvalidQueryParameter", "MalformedInput", "MalformedQueryString", "ValidationError"];
            assert!(known.contains(&error.code()), "{error:?}");
            assert!(error.message().len() < 10_000, "an answer as long as its request");
        }
    }
}
