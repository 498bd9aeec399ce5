//! Documents: what of a text IAM takes before it is kept, and how much of it counts.

use super::error::{Code, IdentityError, Result};
use super::limit;
use crate::policy::{Form, Policy};
use aws_lc_rs::digest::{SHA256, digest};

/// Bytes of a text with all its blanks: a row holds it.
const TEXT_BYTES_MAX: usize = 48 << 10;

/// What names a text, wherever it is attached.
pub(crate) type Hash = [u8; 32];

/// The hash of a text.
pub(crate) fn hash(text: &str) -> Hash {
    hash_of(text.as_bytes())
}

/// The hash of a row.
pub(crate) fn hash_of(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Characters that count: all but blanks.
pub(super) fn weight(text: &str) -> usize {
    text.chars().filter(|c| !c.is_ascii_whitespace()).count()
}

fn malformed(message: impl Into<String>) -> IdentityError {
    IdentityError::new(Code::MalformedPolicyDocument, message)
}

/// Reads a document of this form.
fn read(text: &str, form: Form) -> Result<Policy> {
    let taken = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if let Some(other) = text.chars().find(|c| !taken(*c)) {
        return Err(malformed(format!(
            "{other:?} can't stand in a policy: tab, line feed, carriage return and U+0020 to U+00FF can"
        )));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(malformed(format!("{} bytes; at most {TEXT_BYTES_MAX} are taken", text.len())));
    }
    Ok(Policy::parse(text, form, TEXT_BYTES_MAX)?)
}

/// A managed policy's document.
pub(super) fn managed(text: &str) -> Result<Policy> {
    let policy = read(text, Form::Identity)?;
    if weight(text) > limit::MANAGED_CHARS {
        return Err(IdentityError::over("PolicySize", limit::MANAGED_CHARS));
    }
    Ok(policy)
}

/// An inline policy's; how much all of its owner's may weigh is the commit's to check.
pub(super) fn inline(text: &str) -> Result<Policy> {
    read(text, Form::Identity)
}

/// A role's trust policy.
pub(super) fn trust(text: &str) -> Result<Policy> {
    let policy = read(text, Form::Trust)?;
    if weight(text) > limit::TRUST_CHARS {
        return Err(IdentityError::over("ACLSizePerRole", limit::TRUST_CHARS));
    }
    if text.len() > limit::TRUST_BYTES {
        return Err(IdentityError::over("bytes of a trust policy with its blanks", limit::TRUST_BYTES));
    }
    Ok(policy)
}

/// A session's own policy.
pub(super) fn session(text: &str) -> Result<Policy> {
    if text.chars().count() > limit::SESSION_CHARS {
        let message = format!("policy has more than {} characters", limit::SESSION_CHARS);
        return Err(IdentityError::invalid(message));
    }
    read(text, Form::Identity)
}

/// A document as it was kept. What can't be read any more denies all.
pub(super) fn compiled(text: &str, form: Form) -> Policy {
    Policy::parse(text, form, TEXT_BYTES_MAX).unwrap_or_else(|error| {
        tracing::error!(%error, "failed to read a policy that was kept: it denies everything");
        Policy::denying_all()
    })
}

#[cfg(test)]
mod tests {
    use super::{inline, managed, trust, weight};
    use crate::identity::Code;

    #[test]
    fn documents_are_of_their_form_and_size() {
        let allow =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        managed(allow).unwrap();
        assert_eq!(trust(allow).unwrap_err().code, Code::MalformedPolicyDocument);
        let trusts = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
        trust(trusts).unwrap();
        assert_eq!(inline(trusts).unwrap_err().code, Code::MalformedPolicyDocument);
        assert_eq!(inline(&allow.replace("s3:*", "s3:€")).unwrap_err().code, Code::MalformedPolicyDocument);
        // Blanks weigh nothing.
        let wide = allow.replace(',', &format!(",{}", " ".repeat(7_000)));
        assert_eq!(weight(&wide), weight(allow));
        managed(&wide).unwrap();
        let long = allow.replace("s3:*", &format!("s3:{}", "a".repeat(6_200)));
        assert_eq!(managed(&long).unwrap_err().code, Code::LimitExceeded);
    }
}
