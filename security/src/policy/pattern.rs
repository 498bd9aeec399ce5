//! Texts with wildcards and policy variables. Sources: "IAM JSON policy elements: Variables and tags"
//! (`reference_policies_variables`) and "String condition operators" of the IAM user guide.
//!
//! `*` stands for any run of characters, `?` for one. `${key}` stands for the value of a condition key that has exactly one,
//! `${key, 'text'}` for `text` where it has none; `${*}`, `${?}` and `${$}` are those characters themselves. Wildcards in the value of a
//! variable are plain characters.

use super::context::Context;
use std::collections::HashMap;

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

/// A comparison that costs no more than this many steps is not counted: a document has room for some thousand patterns, a hundred thousand
/// steps together.
const UNCOUNTED_MAX: usize = 32;

/// Texts of which every place may be tried where case means nothing: names of actions.
const SHORT_MAX: usize = 64;

/// Characters of a condition key at the most: a tag's name has 128.
pub(super) const KEY_CHARS_MAX: usize = 256;

/// Without case, character by character as patterns are: `str::to_lowercase` knows of a sigma that ends a word.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

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

    /// Whether a text is of its form. `None`: nobody can say, for want of a variable's value, or because the decision has cost too much.
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
            values.push(if self.folds { fold(&value) } else { value });
        }
        let cost = self.cost(text, &values);
        if cost > UNCOUNTED_MAX && !context.spend(cost) {
            return None;
        }
        if self.folds && !text.is_ascii() {
            return Some(self.glob(&fold(text), &values, false));
        }
        Some(self.glob(text, &values, self.folds))
    }

    /// Segment by segment between the runs: the first one where the text begins, the last one where it ends, and those between as early as
    /// they are found, which is never wrong.
    fn glob(&self, text: &str, values: &[String], folds: bool) -> bool {
        let compare = Compare { values, folds };
        let mut segments = self.pieces.split(|piece| *piece == Piece::Many);
        let first = segments.next().unwrap_or_default();
        let Some(mut rest) = compare.behind_beginning(first, text) else { return false };
        let Some(last) = segments.next_back() else { return rest.is_empty() };
        let Some(before) = compare.before_end(last, rest) else { return false };
        rest = before;
        for segment in segments {
            match compare.behind_first(segment, rest) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        true
    }

    /// What comparing it with a text costs at the most, in characters.
    fn cost(&self, text: &str, values: &[String]) -> usize {
        let own = self.text.len() + values.iter().map(String::len).sum::<usize>();
        own.saturating_add(text.len().saturating_mul(1 + own / 64))
    }

    /// Whether it could be of the form of anything that begins so; its variables may have any value.
    pub(super) fn could_begin(&self, text: &str) -> bool {
        /// The steps of a machine: a character that is wanted, any one, or any run.
        #[derive(Clone, Copy)]
        enum Step {
            Char(char),
            Any,
            Run,
        }
        let width = |piece: &Piece| match piece {
            Piece::Text(text) => text.chars().count(),
            Piece::One | Piece::Many | Piece::Variable(_) => 1,
        };
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

/// How the segments of a pattern, which have no run in them, are compared.
struct Compare<'p> {
    values: &'p [String],
    folds: bool,
}

impl<'p> Compare<'p> {
    fn plain(&self, piece: &'p Piece) -> Option<&'p str> {
        match piece {
            Piece::Text(text) => Some(text),
            Piece::Variable(number) => self.values.get(*number).map(String::as_str),
            Piece::One | Piece::Many => None,
        }
    }

    fn is(&self, text: &[u8], plain: &str) -> bool {
        if self.folds { text.eq_ignore_ascii_case(plain.as_bytes()) } else { text == plain.as_bytes() }
    }

    /// What is behind the segment at the beginning of a text.
    fn behind_beginning<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        segment.iter().try_fold(text, |rest, piece| {
            let length = match self.plain(piece) {
                Some(plain) => rest
                    .as_bytes()
                    .get(..plain.len())
                    .filter(|begin| self.is(begin, plain))
                    .map(<[u8]>::len)?,
                None => rest.chars().next()?.len_utf8(),
            };
            rest.get(length..)
        })
    }

    /// What is before the segment at the end of a text.
    fn before_end<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        segment.iter().rev().try_fold(text, |rest, piece| {
            let start = match self.plain(piece) {
                Some(plain) => {
                    let start = rest.len().checked_sub(plain.len())?;
                    rest.as_bytes().get(start..).filter(|end| self.is(end, plain))?;
                    start
                }
                None => rest.char_indices().next_back()?.0,
            };
            rest.get(..start)
        })
    }

    /// What is behind the first place where a text has the segment.
    fn behind_first<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        let plain = match segment {
            [one] => self.plain(one),
            _ => None,
        };
        match plain {
            Some(plain) if !self.folds => text.get(text.find(plain)? + plain.len()..),
            Some(plain) if !plain.is_empty() && text.len() <= SHORT_MAX => {
                let mut windows = text.as_bytes().windows(plain.len());
                text.get(windows.position(|window| self.is(window, plain))? + plain.len()..)
            }
            _ if segment.iter().all(|piece| *piece == Piece::One) => self.behind_beginning(segment, text),
            _ => self.search(segment, text),
        }
    }

    /// The same for a segment of several pieces, all its characters at once: bit N of the state says that the text up to here ends with the
    /// first N + 1 of them. So each character of the text costs a step for every 64 of the segment, whatever either holds.
    fn search<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        let length = |piece| self.plain(piece).map_or(1, str::len);
        if segment.iter().map(length).sum::<usize>() > text.len() {
            return None;
        }
        let fold = |c: char| if self.folds { c.to_ascii_lowercase() } else { c };
        let mut wanted: Vec<Option<char>> = Vec::new();
        for piece in segment {
            match self.plain(piece) {
                Some(plain) => wanted.extend(plain.chars().map(|c| Some(fold(c)))),
                None => wanted.push(None),
            }
        }
        let words = wanted.len().div_ceil(64);
        let (mut any, mut masks) = (vec![0_u64; words], HashMap::<char, Vec<u64>>::new());
        for (at, c) in wanted.iter().enumerate() {
            let mask = match c {
                Some(c) => masks.entry(*c).or_insert_with(|| vec![0; words]),
                None => &mut any,
            };
            mask[at / 64] |= 1 << (at % 64);
        }
        let Some(end) = wanted.len().checked_sub(1) else { return Some(text) };
        let mut state = vec![0_u64; words];
        for (at, c) in text.char_indices() {
            let mask = masks.get(&fold(c));
            let mut carry = 1;
            for (word, bits) in state.iter_mut().enumerate() {
                let moved = (*bits << 1) | carry;
                carry = *bits >> 63;
                *bits = moved & (any[word] | mask.map_or(0, |mask| mask[word]));
            }
            if state[end / 64] & (1 << (end % 64)) != 0 {
                return text.get(at + c.len_utf8()..);
            }
        }
        None
    }
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

    /// The plain way: of every beginning of the text, whether it is of the form of every beginning of the pattern.
    fn by_table(pattern: &str, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut ends = vec![false; text.len() + 1];
        ends[0] = true;
        for wanted in pattern.chars() {
            let mut next = vec![false; text.len() + 1];
            for at in 0..=text.len() {
                next[at] = match wanted {
                    '*' => ends[at] || (at > 0 && next[at - 1]),
                    wanted => at > 0 && ends[at - 1] && (wanted == '?' || wanted == text[at - 1]),
                };
            }
            ends = next;
        }
        ends[text.len()]
    }

    #[test]
    fn wildcards_match_as_a_table_of_all_places_says() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % bound
        };
        let mut matched = 0;
        for round in 0..20_000 {
            let mut letters = |letters: &[char], most: usize| -> String {
                let count = below(most);
                (0..count).map(|_| letters[below(letters.len())]).collect()
            };
            // Segments of more than 64 characters, too.
            let long = if round % 50 == 0 { 40 } else { 1 };
            let pattern = letters(&['a', 'b', 'é', '?', '*'], 9).replace('b', &"b?".repeat(long));
            let text = letters(&['a', 'b', 'é'], 12).replace('b', &"ba".repeat(long));
            let expected = by_table(&pattern, &text);
            matched += usize::from(expected);
            assert_eq!(matches(&pattern, &text), expected, "{pattern} {text}");
        }
        assert!(matched > 1_000, "{matched}");
    }

    #[test]
    fn long_segments_with_wildcards_cost_no_product_of_pattern_and_text() {
        // 16,000 times 16,000 steps would take minutes here.
        let text = "a".repeat(16_000);
        for pattern in [
            format!("*{}b", "?".repeat(8_000)),
            format!("*{}b*", "?".repeat(8_000)),
            format!("*{}*b*", "a?".repeat(3_000)),
            format!("*{}c*", "a?".repeat(4_000)),
        ] {
            assert!(!matches(&pattern, &text));
        }
        assert!(matches(&format!("*{}?*", "a?".repeat(4_000)), &text));
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
