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

/// A step of a pattern, small: a document may have one for every other byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// So many bytes of [`Pattern::plain`], from there on.
    Text {
        start: u32,
        length: u32,
    },
    /// So many characters, whichever.
    Any(u32),
    Many,
    /// The variable of this number; the same one may stand in several places.
    Variable(u32),
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
    /// The characters that stand for themselves, one run behind the other.
    plain: Box<str>,
    pieces: Box<[Piece]>,
    variables: Box<[Variable]>,
    folds: bool,
    /// Something stands between two runs of any characters: it is looked for.
    searches: bool,
    shape: Shape,
}

/// What most patterns are: compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Its plain characters alone, or none.
    Fixed,
    /// Those, and behind so many bytes of them any run.
    Run(u32),
    Other,
}

impl Shape {
    fn of(pieces: &[Piece]) -> Self {
        match pieces {
            [] | [Piece::Text { .. }] => Self::Fixed,
            [Piece::Many] | [Piece::Many, Piece::Text { .. }] => Self::Run(0),
            [Piece::Text { length, .. }, Piece::Many]
            | [Piece::Text { length, .. }, Piece::Many, Piece::Text { .. }] => Self::Run(*length),
            _ => Self::Other,
        }
    }
}

/// A comparison that was made.
struct AtOnce {
    is: bool,
    cost: usize,
}

/// A comparison that costs no more than this many steps is not counted: a document has room for some thousand patterns, a hundred thousand
/// steps together.
const UNCOUNTED_MAX: usize = 32;

/// What it costs to fetch the value of a variable, besides a step for each of its bytes.
const FETCHED_STEPS: usize = 16;

/// Bytes that are compared in a step where nothing is looked for.
const AT_ONCE: usize = 16;

/// Texts of which every place may be tried where case means nothing: names of actions.
const SHORT_MAX: usize = 64;

/// What an allocation takes beside its bytes, about.
pub(super) const BOX_BYTES: usize = 16;

/// Characters of a condition key at the most: a tag's name has 128.
pub(super) const KEY_CHARS_MAX: usize = 256;

/// Without case, character by character as patterns are: `str::to_lowercase` knows of a sigma that ends a word.
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Whether a text can be a condition key: `aws:SourceIp`, `s3:ExistingObjectTag/team`, `login.example/realms/ml:sub` of an OIDC provider.
pub(super) fn is_key(text: &str) -> bool {
    let tag = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    text.split_once(':').is_some_and(|(service, name)| {
        !service.is_empty()
            && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
            && !name.is_empty()
    }) && text.chars().count() <= KEY_CHARS_MAX
        && text.chars().all(tag)
}

impl Pattern {
    /// Reads it; the error says what is wrong.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        let (mut pieces, mut variables, mut plain) = (Vec::new(), Vec::new(), Plain::default());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if syntax.variables && rest.starts_with("${") {
                let end = rest.find('}').ok_or("a policy variable begins with ${ and does not end with }")?;
                let inner = &rest[2..end];
                rest = &rest[end + 1..];
                if matches!(inner, "*" | "?" | "$") {
                    plain.text.push_str(inner);
                    continue;
                }
                plain.flush(&mut pieces);
                let variable = Variable::parse(inner)?;
                let known = variables.iter().position(|known| *known == variable);
                pieces.push(Piece::Variable(narrow(known.unwrap_or(variables.len()))));
                if known.is_none() {
                    variables.push(variable);
                }
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '*' if syntax.wildcards => {
                    plain.flush(&mut pieces);
                    if pieces.last() != Some(&Piece::Many) {
                        pieces.push(Piece::Many);
                    }
                }
                '?' if syntax.wildcards => {
                    plain.flush(&mut pieces);
                    match pieces.last_mut() {
                        Some(Piece::Any(count)) => *count += 1,
                        _ => pieces.push(Piece::Any(1)),
                    }
                }
                c if syntax.folds => plain.text.extend(c.to_lowercase()),
                c => plain.text.push(c),
            }
        }
        plain.flush(&mut pieces);
        Ok(Self {
            text: text.into(),
            plain: plain.text.into(),
            shape: Shape::of(&pieces),
            searches: pieces.iter().filter(|piece| **piece == Piece::Many).count() > 1,
            pieces: pieces.into(),
            variables: variables.into(),
            folds: syntax.folds,
        })
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it says one text alone.
    pub(super) fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text { .. }))
    }

    /// Whether it has a policy variable.
    pub(super) fn has_variable(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Whether a text is of its form. `None`: nobody can say, for want of a variable's value, or because the decision has cost too much.
    pub(super) fn matches(&self, text: &str, context: &dyn Context) -> Option<bool> {
        if !self.folds
            && let Some(matched) = self.at_once(text)
        {
            return (matched.cost <= UNCOUNTED_MAX || context.spend(matched.cost)).then_some(matched.is);
        }
        let mut values = Vec::new();
        for variable in &self.variables {
            if !context.spend(FETCHED_STEPS) {
                return None;
            }
            let value =
                context.single(&variable.key).or_else(|| variable.default.as_deref().map(str::to_owned))?;
            if !context.spend(value.len()) {
                return None;
            }
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

    /// Whether a text is surely of its form. What begins otherwise is not, whatever its variables have.
    pub(super) fn is_match(&self, text: &str, context: &dyn Context) -> bool {
        let begins = match self.pieces.first() {
            Some(Piece::Text { start, length }) if !self.folds => part(&self.plain, *start, *length),
            _ => "",
        };
        text.as_bytes().starts_with(begins.as_bytes()) && self.matches(text, context) == Some(true)
    }

    /// The same of a pattern and a text that have no case any more, without variables.
    pub(super) fn takes_folded(&self, text: &str, context: &dyn Context) -> bool {
        let (is, cost) = match self.at_once(text) {
            Some(AtOnce { is, cost }) => (is, cost),
            None => (false, self.cost(text, &[])),
        };
        if cost > UNCOUNTED_MAX && !context.spend(cost) {
            return false;
        }
        is || (self.shape == Shape::Other && self.glob(text, &[], false))
    }

    /// A text is compared at once, if the pattern is of such a shape, with what that costs.
    fn at_once(&self, text: &str) -> Option<AtOnce> {
        let (text, plain) = (text.as_bytes(), self.plain.as_bytes());
        Some(match self.shape {
            Shape::Fixed => AtOnce { is: text == plain, cost: 0 },
            Shape::Run(at) => {
                let (begins, ends) = plain.split_at_checked(at as usize)?;
                let is = text.len() >= plain.len() && text.starts_with(begins) && text.ends_with(ends);
                AtOnce { is, cost: self.text.len() / AT_ONCE }
            }
            Shape::Other => return None,
        })
    }

    /// Segment by segment between the runs: the first one where the text begins, the last one where it ends, and those between as early as
    /// they are found, which is never wrong.
    fn glob(&self, text: &str, values: &[String], folds: bool) -> bool {
        let compare = Compare { plain: &self.plain, values, folds };
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

    /// What comparing it with a text costs at the most, in steps: characters that are looked at one by one. What is compared in its place
    /// takes in many at once.
    fn cost(&self, text: &str, values: &[String]) -> usize {
        let of_variable = |piece: &Piece| match piece {
            Piece::Variable(number) => values.get(*number as usize).map_or(0, String::len),
            Piece::Text { .. } | Piece::Any(_) | Piece::Many => 0,
        };
        let own = self.text.len() + self.pieces.iter().map(of_variable).sum::<usize>();
        let folded = if self.folds { own + text.len() } else { 0 };
        let searched = if self.searches { own + text.len().saturating_mul(1 + own / 64) } else { 0 };
        (own / AT_ONCE).saturating_add(folded).saturating_add(searched)
    }

    /// Bytes that it takes in memory beside itself, about.
    pub(super) fn heap_bytes(&self) -> usize {
        let variable = |one: &Variable| {
            size_of::<Variable>() + one.key.len() + one.default.as_deref().map_or(0, str::len)
        };
        let pieces = self.pieces.len() * size_of::<Piece>();
        let boxes = BOX_BYTES * (3 + self.variables.len());
        self.text.len()
            + self.plain.len()
            + pieces
            + boxes
            + self.variables.iter().map(variable).sum::<usize>()
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
        let mut steps = Vec::with_capacity(self.text.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text { start, length } => {
                    steps.extend(part(&self.plain, *start, *length).chars().map(Step::Char));
                }
                Piece::Any(count) => steps.extend((0..*count).map(|_| Step::Any)),
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

/// Characters that stand for themselves, and how many of them are pieces by now.
#[derive(Default)]
struct Plain {
    text: String,
    flushed: usize,
}

impl Plain {
    fn flush(&mut self, pieces: &mut Vec<Piece>) {
        let length = self.text.len() - self.flushed;
        if length > 0 {
            pieces.push(Piece::Text { start: narrow(self.flushed), length: narrow(length) });
            self.flushed = self.text.len();
        }
    }
}

/// Documents have no more than [`DOCUMENT_BYTES_MAX`](super::DOCUMENT_BYTES_MAX) bytes.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn part(plain: &str, start: u32, length: u32) -> &str {
    let start = start as usize;
    plain.get(start..start + length as usize).unwrap_or_default()
}

/// The first so many characters of a text, in bytes.
fn first(text: &str, count: u32) -> Option<usize> {
    let (at, last) = text.char_indices().nth((count as usize).checked_sub(1)?)?;
    Some(at + last.len_utf8())
}

/// How the segments of a pattern, which have no run in them, are compared.
struct Compare<'p> {
    plain: &'p str,
    values: &'p [String],
    folds: bool,
}

impl<'p> Compare<'p> {
    fn plain(&self, piece: Piece) -> Option<&'p str> {
        match piece {
            Piece::Text { start, length } => Some(part(self.plain, start, length)),
            Piece::Variable(number) => self.values.get(number as usize).map(String::as_str),
            Piece::Any(_) | Piece::Many => None,
        }
    }

    /// Characters of any kind that a piece stands for, where it says none.
    const fn any(piece: Piece) -> u32 {
        match piece {
            Piece::Any(count) => count,
            Piece::Text { .. } | Piece::Many | Piece::Variable(_) => 0,
        }
    }

    fn is(&self, text: &[u8], plain: &str) -> bool {
        if self.folds { text.eq_ignore_ascii_case(plain.as_bytes()) } else { text == plain.as_bytes() }
    }

    /// What is behind the segment at the beginning of a text.
    fn behind_beginning<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        segment.iter().try_fold(text, |rest, piece| {
            let length = match self.plain(*piece) {
                Some(plain) => rest
                    .as_bytes()
                    .get(..plain.len())
                    .filter(|begin| self.is(begin, plain))
                    .map(<[u8]>::len)?,
                None => first(rest, Self::any(*piece))?,
            };
            rest.get(length..)
        })
    }

    /// What is before the segment at the end of a text.
    fn before_end<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        segment.iter().rev().try_fold(text, |rest, piece| {
            let start = if let Some(plain) = self.plain(*piece) {
                let start = rest.len().checked_sub(plain.len())?;
                rest.as_bytes().get(start..).filter(|end| self.is(end, plain))?;
                start
            } else {
                let before = (Self::any(*piece) as usize).checked_sub(1)?;
                rest.char_indices().rev().nth(before)?.0
            };
            rest.get(..start)
        })
    }

    /// What is behind the first place where a text has the segment.
    fn behind_first<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        let plain = match segment {
            [one] => self.plain(*one),
            _ => None,
        };
        match plain {
            Some(plain) if !self.folds => text.get(text.find(plain)? + plain.len()..),
            Some(plain) if !plain.is_empty() && text.len() <= SHORT_MAX => {
                let mut windows = text.as_bytes().windows(plain.len());
                text.get(windows.position(|window| self.is(window, plain))? + plain.len()..)
            }
            _ if segment.iter().all(|piece| matches!(piece, Piece::Any(_))) => {
                self.behind_beginning(segment, text)
            }
            _ => self.search(segment, text),
        }
    }

    /// The same for a segment of several pieces, all its characters at once: bit N of the state says that the text up to here ends with the
    /// first N + 1 of them. So each character of the text costs a step for every 64 of the segment, whatever either holds.
    fn search<'t>(&self, segment: &'p [Piece], text: &'t str) -> Option<&'t str> {
        let length = |piece: &Piece| self.plain(*piece).map_or(Self::any(*piece) as usize, str::len);
        if segment.iter().map(length).sum::<usize>() > text.len() {
            return None;
        }
        let fold = |c: char| if self.folds { c.to_ascii_lowercase() } else { c };
        let mut wanted: Vec<Option<char>> = Vec::new();
        for piece in segment {
            match self.plain(*piece) {
                Some(plain) => wanted.extend(plain.chars().map(|c| Some(fold(c)))),
                None => wanted.extend((0..Self::any(*piece)).map(|_| None)),
            }
        }
        let Some(end) = wanted.len().checked_sub(1) else { return Some(text) };
        let masks = Masks::of(&wanted);
        let mut state = vec![0_u64; masks.words];
        for (at, c) in text.char_indices() {
            let mask = masks.of_char(fold(c));
            let mut carry = 1;
            for (bits, mask) in state.iter_mut().zip(mask) {
                let moved = (*bits << 1) | carry;
                carry = *bits >> 63;
                *bits = moved & mask;
            }
            if state[end / 64] & (1 << (end % 64)) != 0 {
                return text.get(at + c.len_utf8()..);
            }
        }
        None
    }
}

/// Where each character may stand in a segment, a bit for a place. Row 0 is what every other character has: the places of any one.
struct Masks {
    words: usize,
    rows: Vec<u64>,
    ascii: [u16; 128],
    others: HashMap<char, u16>,
}

impl Masks {
    fn of(wanted: &[Option<char>]) -> Self {
        let words = wanted.len().div_ceil(64);
        let mut masks = Self { words, rows: vec![0; words], ascii: [0; 128], others: HashMap::new() };
        for (at, c) in wanted.iter().enumerate() {
            let row = c.map_or(0, |c| masks.row_for(c));
            masks.rows[row * words + at / 64] |= 1 << (at % 64);
        }
        let (any, rows) = masks.rows.split_at_mut(words);
        for row in rows.chunks_exact_mut(words) {
            row.iter_mut().zip(any.iter()).for_each(|(bits, any)| *bits |= any);
        }
        masks
    }

    /// A row of the character's own: there are fewer than a document has bytes.
    fn row_for(&mut self, c: char) -> usize {
        let next = u16::try_from(self.rows.len() / self.words).unwrap_or(u16::MAX);
        let row = match self.ascii.get_mut(c as usize) {
            Some(row) => row,
            None => self.others.entry(c).or_default(),
        };
        if *row == 0 {
            *row = next;
            self.rows.resize(self.rows.len() + self.words, 0);
        }
        (*row).into()
    }

    fn of_char(&self, c: char) -> &[u64] {
        let row = match self.ascii.get(c as usize) {
            Some(row) => *row,
            None => self.others.get(&c).copied().unwrap_or_default(),
        };
        &self.rows[usize::from(row) * self.words..][..self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Piece, Syntax};
    use crate::policy::{GivenContext, NoContext};

    const ALL: Syntax = Syntax { wildcards: true, variables: true, folds: false };

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern, ALL).unwrap();
        let matched = pattern.matches(text, &NoContext).unwrap();
        assert_eq!(pattern.is_match(text, &NoContext), matched, "{pattern:?} {text}");
        matched
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
    fn a_pattern_takes_a_small_multiple_of_its_text() {
        for (text, times) in [
            ("?".repeat(16_000), 1),
            ("?a".repeat(8_000), 14),
            ("a*".repeat(8_000), 14),
            ("é".repeat(8_000), 3),
        ] {
            let pattern = Pattern::parse(&text, ALL).unwrap();
            let bytes = pattern.heap_bytes();
            assert!(bytes >= text.len() && bytes <= times * text.len() + 64, "{bytes} for {}", text.len());
        }
        assert_eq!(size_of::<Piece>(), 12);
        let runs = Pattern::parse(&format!("a{}b", "?".repeat(70)), ALL).unwrap();
        assert_eq!(runs.pieces.len(), 3);
    }

    #[test]
    fn a_variable_is_what_its_key_has_and_nothing_more() {
        let context = GivenContext::default()
            .with("aws:username", ["al*ce"])
            .with("aws:TagKeys", ["a", "b"])
            .with("aws:PrincipalTag/Team", ["x"]);
        let ask = |pattern: &str, text: &str| {
            let pattern = Pattern::parse(pattern, ALL).unwrap();
            let matched = pattern.matches(text, &context);
            assert_eq!(pattern.is_match(text, &context), matched == Some(true), "{pattern:?} {text}");
            matched
        };
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
