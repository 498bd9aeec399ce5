//! Texts with wildcards and policy variables. Sources: "IAM JSON policy elements: Variables and tags"
//! (`reference_policies_variables`) and "String condition operators" of the IAM user guide.
//!
//! `*` stands for any run of characters, `?` for one. `${key}` stands for the value of a condition key that has exactly one,
//! `${key, 'text'}` for `text` where it has none; `${*}`, `${?}` and `${$}` are those characters themselves. Wildcards in the value of a
//! variable are plain characters.

use super::context::Context;

/// What means something in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// `*` and `?`.
    pub(super) wildcards: bool,
    /// `${…}`: documents of the version 2012-10-17.
    pub(super) variables: bool,
    /// Case means nothing.
    pub(super) folds: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    One,
    Many,
    /// The variable of this number.
    Variable(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    key: Box<str>,
    default: Option<Box<str>>,
}

/// A text that others are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Box<str>,
    pieces: Box<[Piece]>,
    variables: Box<[Variable]>,
    folds: bool,
}

/// Characters of a condition key at the most: a tag's name has 128.
pub(super) const KEY_CHARS_MAX: usize = 256;

/// Whether a text can be a condition key: `aws:SourceIp`, `s3:ExistingObjectTag/team`.
pub(super) fn is_key(text: &str) -> bool {
    let tag = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    text.split_once(':').is_some_and(|(service, name)| {
        !service.is_empty()
            && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            && !name.is_empty()
    }) && text.chars().count() <= KEY_CHARS_MAX
        && text.chars().all(tag)
}

impl Pattern {
    /// Reads it; the error says what is wrong.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        let (mut pieces, mut variables, mut plain) = (Vec::new(), Vec::new(), String::new());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                let end = rest.find('}').ok_or("a policy variable begins with ${ and does not end with }")?;
                let inner = &rest[2..end];
                rest = &rest[end + 1..];
                if matches!(inner, "*" | "?" | "$") {
                    plain.push_str(inner);
                    continue;
                }
                flush(&mut plain, &mut pieces);
                pieces.push(Piece::Variable(variables.len()));
                variables.push(Variable::parse(inner)?);
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '*' if syntax.wildcards => {
                    flush(&mut plain, &mut pieces);
                    if pieces.last() != Some(&Piece::Many) {
                        pieces.push(Piece::Many);
                    }
                }
                '?' if syntax.wildcards => {
                    flush(&mut plain, &mut pieces);
                    pieces.push(Piece::One);
                }
                c if syntax.folds => plain.extend(c.to_lowercase()),
                c => plain.push(c),
            }
        }
        flush(&mut plain, &mut pieces);
        let folds = syntax.folds;
        Ok(Self { text: text.into(), pieces: pieces.into(), variables: variables.into(), folds })
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it says one text alone.
    pub(super) fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Whether it has a policy variable.
    pub(super) fn has_variable(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Whether a text is of its form. `None`: it isn't for want of a variable's value, so that nobody can say.
    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> Option<bool> {
        if let [Piece::Text(only)] = &*self.pieces
            && !self.folds
        {
            return Some(**only == *text);
        }
        let mut values = Vec::new();
        for variable in &self.variables {
            let value =
                context.single(&variable.key).or_else(|| variable.default.as_deref().map(str::to_owned))?;
            values.push(if self.folds { value.to_lowercase() } else { value });
        }
        if self.folds && !text.is_ascii() {
            return Some(self.glob(&text.to_lowercase(), &values, false));
        }
        Some(self.glob(text, &values, self.folds))
    }

    /// The plain text at a piece.
    fn plain<'p>(&'p self, piece: usize, values: &'p [String]) -> Option<&'p str> {
        match self.pieces.get(piece)? {
            Piece::Text(text) => Some(text),
            Piece::Variable(number) => values.get(*number).map(String::as_str),
            Piece::One | Piece::Many => None,
        }
    }

    /// Goes back to the last run alone: what stands before it has been found as early as it can be, which is never wrong.
    fn glob(&self, text: &str, values: &[String], folds: bool) -> bool {
        let (mut piece, mut at) = (0, 0);
        let mut run: Option<(usize, usize)> = None;
        loop {
            let next = text.get(at..).unwrap_or_default();
            let matched = match self.pieces.get(piece) {
                None => {
                    if next.is_empty() {
                        return true;
                    }
                    None
                }
                Some(Piece::Many) if piece + 1 == self.pieces.len() => return true,
                Some(Piece::Many) => {
                    run = Some((piece + 1, at));
                    Some(0)
                }
                Some(Piece::One) => next.chars().next().map(char::len_utf8),
                Some(Piece::Text(_) | Piece::Variable(_)) => {
                    self.plain(piece, values).filter(|plain| begins(next, plain, folds)).map(str::len)
                }
            };
            if let Some(length) = matched {
                piece += 1;
                at += length;
                continue;
            }
            let Some((behind, from)) = &mut run else { return false };
            let Some(skipped) = text[*from..].chars().next() else { return false };
            *from += skipped.len_utf8();
            if let Some(plain) = self.plain(*behind, values) {
                match find(&text[*from..], plain, folds) {
                    Some(found) => *from += found,
                    None => return false,
                }
            }
            (piece, at) = (*behind, *from);
        }
    }

    /// Whether it could be of the form of anything that begins so; its variables may have any value.
    pub(super) fn could_begin(&self, text: &str) -> bool {
        let width = |piece: &Piece| match piece {
            Piece::Text(text) => text.chars().count(),
            Piece::One | Piece::Many | Piece::Variable(_) => 1,
        };
        // The steps of a machine: a character that is wanted, any one (None), or any run.
        #[derive(Clone, Copy)]
        enum Step {
            Char(char),
            Any,
            Run,
        }
        let mut steps = Vec::with_capacity(self.pieces.iter().map(width).sum());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => steps.extend(text.chars().map(Step::Char)),
                Piece::One => steps.push(Step::Any),
                Piece::Many | Piece::Variable(_) => steps.push(Step::Run),
            }
        }
        let closed = |states: &mut Vec<bool>| {
            for at in 0..steps.len() {
                if states[at] && matches!(steps[at], Step::Run) {
                    states[at + 1] = true;
                }
            }
        };
        let mut states = vec![false; steps.len() + 1];
        states[0] = true;
        closed(&mut states);
        for c in text.chars() {
            let mut next = vec![false; steps.len() + 1];
            for (at, step) in steps.iter().enumerate().filter(|(at, _)| states[*at]) {
                match step {
                    Step::Char(wanted) if *wanted == c => next[at + 1] = true,
                    Step::Char(_) => {}
                    Step::Any => next[at + 1] = true,
                    Step::Run => next[at] = true,
                }
            }
            closed(&mut next);
            states = next;
        }
        states.contains(&true)
    }
}

impl Variable {
    fn parse(inner: &str) -> Result<Self, String> {
        let refused = || format!("${{{inner}}} is no policy variable: ${{key}} and ${{key, 'default'}} are");
        let (key, default) = match inner.split_once(',') {
            None => (inner, None),
            Some((key, quoted)) => {
                let text = quoted.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                (key.trim_end(), Some(text.filter(|text| !text.contains('\'')).ok_or_else(refused)?.into()))
            }
        };
        if is_key(key) { Ok(Self { key: key.to_lowercase().into(), default }) } else { Err(refused()) }
    }
}

fn flush(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain).into()));
    }
}

fn begins(text: &str, plain: &str, folds: bool) -> bool {
    if folds {
        text.as_bytes().get(..plain.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(plain.as_bytes()))
    } else {
        text.starts_with(plain)
    }
}

fn find(text: &str, plain: &str, folds: bool) -> Option<usize> {
    if !folds || plain.is_empty() {
        return text.find(plain);
    }
    text.as_bytes().windows(plain.len()).position(|window| window.eq_ignore_ascii_case(plain.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Syntax};
    use crate::policy::{GivenContext, NoContext};

    const ALL: Syntax = Syntax { wildcards: true, variables: true, folds: false };

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, ALL).unwrap().matches(text, &NoContext).unwrap()
    }

    #[test]
    fn wildcards_stand_for_runs_and_for_one_character() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "anything", true),
            ("?", "é", true),
            ("?", "", false),
            ("??", "a", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbXbc", true),
            ("*ab", "aab", true),
            ("*ab?", "abab", false),
            ("*ab?", "ababx", true),
            ("a?c*", "abcdef", true),
            ("*é?", "xéü", true),
            ("*aab*aab", "aaabaaab", true),
            ("*a", "b", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_is_what_its_key_has_and_nothing_more() {
        let context = GivenContext::default()
            .with("aws:username", ["al*ce"])
            .with("aws:TagKeys", ["a", "b"])
            .with("aws:PrincipalTag/Team", ["x"]);
        let ask = |pattern: &str, text: &str| Pattern::parse(pattern, ALL).unwrap().matches(text, &context);
        assert_eq!(ask("home/${aws:username}/*", "home/al*ce/x"), Some(true));
        assert_eq!(ask("home/${aws:username}/*", "home/alice/x"), Some(false), "no wildcard");
        assert_eq!(ask("${AWS:UserName}", "al*ce"), Some(true));
        assert_eq!(ask("${aws:PrincipalTag/Team}", "x"), Some(true));
        assert_eq!(ask("${aws:userid}", "x"), None);
        assert_eq!(ask("${aws:TagKeys}", "a"), None, "of several values none is chosen");
        assert_eq!(ask("${aws:userid, 'nobody'}*", "nobody7"), Some(true));
        assert_eq!(ask("${aws:username, 'nobody'}", "nobody"), Some(false));
        assert_eq!(ask("a${*}b${?}c${$}", "a*b?c$"), Some(true));
        assert_eq!(ask("a${*}", "ab"), Some(false));
        for bad in
            ["${", "${aws:username", "${}", "${username}", "${aws:x, y}", "${aws:x, 'y}", "${:x}", "${a b:c}"]
        {
            assert!(Pattern::parse(bad, ALL).is_err(), "{bad}");
        }
        let literal = Syntax { variables: false, ..ALL };
        let old = Pattern::parse("${aws:username}", literal).unwrap();
        assert_eq!(old.matches("${aws:username}", &context), Some(true));
    }

    #[test]
    fn case_is_folded_where_it_means_nothing() {
        let folded = Syntax { folds: true, ..ALL };
        for (pattern, text, expected) in [
            ("S3:get*", "s3:GetObject", true),
            ("s3:*ACL", "s3:PutObjectAcl", true),
            ("ÄB", "äb", true),
            ("äb*", "ÄBC", true),
            ("s3:get?bject", "S3:GETOBJECT", true),
            ("s3:put*", "s3:GetObject", false),
        ] {
            let pattern = Pattern::parse(pattern, folded).unwrap();
            assert_eq!(pattern.matches(text, &NoContext), Some(expected), "{pattern:?} {text}");
        }
    }

    #[test]
    fn it_is_known_what_a_pattern_could_begin_with() {
        for (pattern, text, expected) in [
            ("bucket/*", "bucket/", true),
            ("bucket", "bucket/", false),
            ("*", "bucket/", true),
            ("buck*", "bucket/", true),
            ("buck*/x", "bucket/", true),
            ("b?cket/a", "bucket/", true),
            ("other/*", "bucket/", false),
            ("bucket2/*", "bucket/", false),
            ("${aws:username}/*", "bucket/", true),
            ("bucket", "bucket", true),
        ] {
            assert_eq!(Pattern::parse(pattern, ALL).unwrap().could_begin(text), expected, "{pattern}");
        }
    }
}
