//! The `LifecycleConfiguration` document: read strictly, written as S3 shows it; and the headers that tell of rules.

use super::answer::set_amz;
use super::code::Code;
use super::error::S3Error;
use super::{date, headers, percent};
use crate::xml::{Element, Malformed, XmlWriter};
use engine::clock::Timestamp;
use http::HeaderMap;
use objectstore::{
    Expiry, LIFECYCLE_RULES_MAX, Lifecycle, LifecycleExpiration, LifecycleFilter, LifecycleForm,
    LifecycleRule, NoncurrentExpiration, NoncurrentTransition, StorageClass, Tags, Transition,
    TransitionWhen,
};

fn malformed() -> S3Error {
    S3Error::new(Code::MalformedXML)
}

/// Reads rules. `name` makes a name for one that has none, as S3 does.
pub(crate) fn read(root: &Element, mut name: impl FnMut() -> String) -> Result<Lifecycle, S3Error> {
    let rules = root.expect("LifecycleConfiguration")?.only(&["Rule"])?.children();
    if rules.is_empty() || rules.len() > LIFECYCLE_RULES_MAX {
        return Err(malformed());
    }
    let mut read = Vec::with_capacity(rules.len());
    for rule in rules {
        read.push(read_rule(rule, &mut name)?);
    }
    Ok(Lifecycle::new(read)?)
}

fn read_rule(element: &Element, name: &mut impl FnMut() -> String) -> Result<LifecycleRule, S3Error> {
    element.only(&[
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
        "Transition",
        "NoncurrentVersionTransition",
    ])?;
    let id = element.child_text("ID")?.filter(|id| !id.is_empty());
    let abort = element.child("AbortIncompleteMultipartUpload")?;
    Ok(LifecycleRule {
        id: id.map_or_else(name, str::to_owned),
        enabled: match element.child_text("Status")? {
            Some("Enabled") => true,
            Some("Disabled") => false,
            _ => return Err(malformed()),
        },
        filter: read_where(element)?,
        expiration: element.child("Expiration")?.map(read_expiration).transpose()?,
        noncurrent: element.child("NoncurrentVersionExpiration")?.map(read_noncurrent).transpose()?,
        transitions: all_of(element, "Transition", read_transition)?,
        noncurrent_transitions: all_of(element, "NoncurrentVersionTransition", read_noncurrent_transition)?,
        abort_days: match abort {
            None => None,
            Some(abort) => {
                let days = abort.only(&["DaysAfterInitiation"])?.child_text("DaysAfterInitiation")?;
                Some(number(days.ok_or_else(malformed)?)?)
            }
        },
    })
}

/// All children of a name, read.
fn all_of<T>(
    element: &Element,
    name: &str,
    read: impl Fn(&Element) -> Result<T, S3Error>,
) -> Result<Vec<T>, S3Error> {
    element.children().iter().filter(|child| child.name() == name).map(read).collect()
}

/// The class that a rule moves to: none of those that objects only begin in.
fn read_class(element: &Element) -> Result<StorageClass, S3Error> {
    let class: StorageClass =
        element.child_text("StorageClass")?.ok_or_else(malformed)?.parse().map_err(|_| malformed())?;
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => Err(malformed()),
        other => Ok(other),
    }
}

fn read_transition(element: &Element) -> Result<Transition, S3Error> {
    element.only(&["Days", "Date", "StorageClass"])?;
    let when = match (element.child_text("Days")?, element.child_text("Date")?) {
        (Some(days), None) => TransitionWhen::Days(number_from_0(days)?),
        (None, Some(date)) => TransitionWhen::Date(read_date(date.trim()).ok_or_else(malformed)?),
        _ => return Err(malformed()),
    };
    Ok(Transition { when, class: read_class(element)? })
}

fn read_noncurrent_transition(element: &Element) -> Result<NoncurrentTransition, S3Error> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])?;
    let days = element.child_text("NoncurrentDays")?.ok_or_else(malformed)?;
    let newer = element.child_text("NewerNoncurrentVersions")?;
    Ok(NoncurrentTransition {
        days: number_from_0(days)?,
        newer: newer.map(number).transpose()?,
        class: read_class(element)?,
    })
}

/// What a rule is about: a filter, or a prefix of its own; one of the two.
fn read_where(element: &Element) -> Result<LifecycleFilter, S3Error> {
    match (element.child("Prefix")?, element.child("Filter")?) {
        (Some(prefix), None) => Ok(LifecycleFilter {
            form: LifecycleForm::Prefix,
            prefix: Some(prefix.leaf()?.to_owned()),
            ..LifecycleFilter::default()
        }),
        (None, Some(filter)) => read_filter(filter),
        _ => Err(malformed()),
    }
}

fn read_filter(element: &Element) -> Result<LifecycleFilter, S3Error> {
    let one = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"];
    element.only(&one)?;
    match element.children() {
        [] => Ok(LifecycleFilter::default()),
        [and] if and.name() == "And" => {
            and.only(&one[..4])?;
            if and.children().len() < 2 {
                return Err(malformed());
            }
            Ok(LifecycleFilter { form: LifecycleForm::And, ..read_conditions(and)? })
        }
        [_] => read_conditions(element),
        _ => Err(malformed()),
    }
}

fn read_conditions(element: &Element) -> Result<LifecycleFilter, S3Error> {
    let size = |name| match element.child_text(name)? {
        None => Ok::<_, S3Error>(None),
        Some(text) => Ok(Some(headers::digits::<u64>(text).ok_or_else(malformed)?)),
    };
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in element.children().iter().filter(|child| child.name() == "Tag") {
        tag.only(&["Key", "Value"])?;
        let key = tag.child("Key")?.ok_or_else(malformed)?.leaf()?;
        let value = tag.child("Value")?.ok_or_else(malformed)?.leaf()?;
        if tags.iter().any(|(known, _)| known == key) {
            return Err(S3Error::with(Code::InvalidRequest, "Duplicate Tag Keys are not allowed."));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    Ok(LifecycleFilter {
        form: LifecycleForm::Filter,
        prefix: element.child("Prefix")?.map(|prefix| prefix.leaf().map(str::to_owned)).transpose()?,
        tags: Tags::of_object(tags)?,
        larger: size("ObjectSizeGreaterThan")?,
        smaller: size("ObjectSizeLessThan")?,
    })
}

fn read_expiration(element: &Element) -> Result<LifecycleExpiration, S3Error> {
    element.only(&["Days", "Date", "ExpiredObjectDeleteMarker"])?;
    // Each excludes the others.
    let [said] = element.children() else { return Err(malformed()) };
    let text = said.leaf()?.trim();
    match said.name() {
        "Days" => Ok(LifecycleExpiration::Days(number(text)?)),
        "Date" => Ok(LifecycleExpiration::Date(read_date(text).ok_or_else(malformed)?)),
        _ => match text {
            "true" => Ok(LifecycleExpiration::Marker(true)),
            "false" => Ok(LifecycleExpiration::Marker(false)),
            _ => Err(malformed()),
        },
    }
}

fn read_noncurrent(element: &Element) -> Result<NoncurrentExpiration, S3Error> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let days = element.child_text("NoncurrentDays")?.ok_or_else(malformed)?;
    let newer = element.child_text("NewerNoncurrentVersions")?;
    Ok(NoncurrentExpiration { days: number(days)?, newer: newer.map(number).transpose()? })
}

/// A moment with its offset, or a day of UTC.
fn read_date(text: &str) -> Option<Timestamp> {
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        let midnight = jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight()));
        midnight.ok().map(|midnight| Timestamp::from_millis(midnight.as_millisecond()))
    };
    let plain = text.len() == 10 && text.as_bytes()[4] == b'-';
    date::parse_iso(text).or_else(|| day().filter(|_| plain))
}

/// A number of days or versions. What is below or beyond those is refused in S3's words where it is checked.
fn number(text: &str) -> Result<u32, Malformed> {
    let refused = Malformed("a number was expected");
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused);
    }
    if digits.len() < text.len() { Ok(0) } else { Ok(digits.parse().unwrap_or(u32::MAX)) }
}

/// The same where 0 is one: what is below is as good as too many.
fn number_from_0(text: &str) -> Result<u32, Malformed> {
    let read = number(text)?;
    Ok(if text.starts_with('-') { u32::MAX } else { read })
}

/// Writes rules.
pub(crate) fn write(lifecycle: &Lifecycle) -> String {
    let mut out = XmlWriter::document("LifecycleConfiguration");
    for rule in lifecycle.rules() {
        out.start("Rule");
        out.text("ID", &rule.id);
        write_filter(&mut out, &rule.filter);
        out.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
        if let Some(expiration) = rule.expiration {
            out.start("Expiration");
            match expiration {
                LifecycleExpiration::Days(days) => out.value("Days", days),
                LifecycleExpiration::Date(at) => out.text("Date", &date::iso(at)),
                LifecycleExpiration::Marker(goes) => out.value("ExpiredObjectDeleteMarker", goes),
            }
            out.end();
        }
        write_moves(&mut out, rule);
        if let Some(NoncurrentExpiration { days, newer }) = rule.noncurrent {
            out.start("NoncurrentVersionExpiration");
            out.value("NoncurrentDays", days);
            if let Some(newer) = newer {
                out.value("NewerNoncurrentVersions", newer);
            }
            out.end();
        }
        if let Some(days) = rule.abort_days {
            out.start("AbortIncompleteMultipartUpload");
            out.value("DaysAfterInitiation", days);
            out.end();
        }
        out.end();
    }
    out.finish()
}

fn write_moves(out: &mut XmlWriter, rule: &LifecycleRule) {
    for one in &rule.transitions {
        out.start("Transition");
        match one.when {
            TransitionWhen::Days(days) => out.value("Days", days),
            TransitionWhen::Date(at) => out.text("Date", &date::iso(at)),
        }
        out.value("StorageClass", one.class);
        out.end();
    }
    for one in &rule.noncurrent_transitions {
        out.start("NoncurrentVersionTransition");
        out.value("NoncurrentDays", one.days);
        if let Some(newer) = one.newer {
            out.value("NewerNoncurrentVersions", newer);
        }
        out.value("StorageClass", one.class);
        out.end();
    }
}

fn write_filter(out: &mut XmlWriter, filter: &LifecycleFilter) {
    if filter.form == LifecycleForm::Prefix {
        return out.text("Prefix", filter.prefix());
    }
    let plain = filter.prefix.is_none() && !filter.asks_of_objects();
    if plain && filter.form == LifecycleForm::Filter {
        return out.empty("Filter");
    }
    out.start("Filter");
    if filter.form == LifecycleForm::And {
        out.start("And");
    }
    out.optional("Prefix", filter.prefix.as_deref());
    for (key, value) in filter.tags.iter() {
        out.start("Tag");
        out.text("Key", key);
        out.text("Value", value);
        out.end();
    }
    for (name, size) in [("ObjectSizeGreaterThan", filter.larger), ("ObjectSizeLessThan", filter.smaller)] {
        if let Some(size) = size {
            out.value(name, size);
        }
    }
    if filter.form == LifecycleForm::And {
        out.end();
    }
    out.end();
}

/// `x-amz-expiration`: when a rule acts on an object.
pub(crate) fn set_expiration(head: &mut HeaderMap, expires: Option<&Expiry>) {
    if let Some(Expiry { at, rule }) = expires {
        let text = format!("expiry-date=\"{}\", rule-id=\"{}\"", date::http(*at), percent::encode(rule));
        set_amz(head, "x-amz-expiration", &text);
    }
}

/// `x-amz-abort-date`: when a rule gives an upload up.
pub(crate) fn set_abort(head: &mut HeaderMap, expires: Option<&Expiry>) {
    if let Some(Expiry { at, rule }) = expires {
        set_amz(head, "x-amz-abort-date", &date::http(*at));
        set_amz(head, "x-amz-abort-rule-id", &percent::encode(rule));
    }
}

#[cfg(test)]
mod tests {
    use super::{read, set_expiration, write};
    use crate::xml::Element;
    use engine::clock::Timestamp;
    use http::HeaderMap;
    use objectstore::{Expiry, Lifecycle};

    fn parse(rules: &str) -> Result<Lifecycle, (&'static str, String)> {
        let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        let root = Element::parse(text.as_bytes()).map_err(|_| ("MalformedXML", String::new()))?;
        let mut named = 0..;
        let name = || format!("made-{}", named.next().unwrap());
        read(&root, name).map_err(|error| (error.code(), error.message().to_owned()))
    }

    fn rule(inner: &str) -> String {
        format!("<Rule><ID>a</ID><Filter/><Status>Enabled</Status>{inner}</Rule>")
    }

    fn moves(when: &str, value: &str, class: &str) -> String {
        format!("<Transition><{when}>{value}</{when}><StorageClass>{class}</StorageClass></Transition>")
    }

    const DAYS: &str = "<Expiration><Days>3</Days></Expiration>";

    #[test]
    fn rules_are_shown_as_they_were_set() {
        let all = [
            rule(DAYS),
            "<Rule><ID>b</ID><Prefix>a&amp;b/</Prefix><Status>Disabled</Status><Expiration><Date>2030-01-02T00:00:00.000Z\
             </Date></Expiration></Rule>"
                .to_owned(),
            "<Rule><ID>c</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value/></Tag><ObjectSizeGreaterThan>5\
             </ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Status>Enabled</Status>\
             <NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>3\
             </NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>"
                .to_owned(),
            "<Rule><ID>d</ID><Filter><Prefix/></Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true\
             </ExpiredObjectDeleteMarker></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7\
             </DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
                .to_owned(),
            "<Rule><ID>e</ID><Filter/><Status>Enabled</Status><Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass>\
             </Transition><Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition><NoncurrentVersionTransition>\
             <NoncurrentDays>0</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions><StorageClass>DEEP_ARCHIVE\
             </StorageClass></NoncurrentVersionTransition></Rule>"
                .to_owned(),
            rule(&moves("Date", "2030-01-02T00:00:00.000Z", "GLACIER_IR")).replace("<ID>a<", "<ID>f<"),
        ]
        .concat();
        let read = parse(&all).unwrap();
        let written = write(&read);
        assert!(written.contains(&all), "{written}");
        let unnamed = parse(&rule(DAYS).replace("<ID>a</ID>", "")).unwrap();
        assert_eq!(unnamed.rules()[0].id, "made-0");
    }

    #[test]
    fn what_s3_refuses_is_refused_with_its_codes() {
        let filter = |inner: &str| rule(DAYS).replace("<Filter/>", inner);
        let expiration = |inner: &str| rule(&format!("<Expiration>{inner}</Expiration>"));
        let tag = "<Tag><Key>k</Key><Value>v</Value></Tag>";
        for (document, code, says) in [
            (String::new(), "MalformedXML", ""),
            ("<Rules/>".to_owned(), "MalformedXML", ""),
            (rule(""), "InvalidRequest", "At least one action"),
            (rule(DAYS).replace("Enabled", "enabled"), "MalformedXML", ""),
            (filter(""), "MalformedXML", ""),
            (filter("<Filter/><Prefix/>"), "MalformedXML", ""),
            (filter(&format!("<Filter><Prefix/>{tag}</Filter>")), "MalformedXML", ""),
            (filter(&format!("<Filter><And>{tag}</And></Filter>")), "MalformedXML", ""),
            (
                filter(&format!("<Filter><And>{tag}{tag}</And></Filter>")),
                "InvalidRequest",
                "Duplicate Tag Keys",
            ),
            (filter("<Filter><Tag><Key/><Value/></Tag></Filter>"), "InvalidTag", ""),
            (filter("<Filter><ObjectSizeLessThan>-1</ObjectSizeLessThan></Filter>"), "MalformedXML", ""),
            (expiration(""), "MalformedXML", ""),
            (expiration("<Days>0</Days>"), "InvalidArgument", "positive integer"),
            (expiration("<Days>-1</Days>"), "InvalidArgument", "positive integer"),
            (expiration("<Days>99999999999</Days>"), "InvalidArgument", "positive integer"),
            (expiration("<Days>x</Days>"), "MalformedXML", ""),
            (
                expiration("<Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"),
                "MalformedXML",
                "",
            ),
            (expiration("<Date>20200101</Date>"), "MalformedXML", ""),
            (expiration("<Date>2020-01-01T01:00:00Z</Date>"), "InvalidArgument", "midnight"),
            (rule("<NoncurrentVersionExpiration/>"), "MalformedXML", ""),
            (
                rule(
                    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
                ),
                "InvalidArgument",
                "DaysAfterInitiation",
            ),
            (rule(DAYS).repeat(2), "InvalidArgument", "Rule ID must be unique"),
            (rule(&moves("Days", "1", "STANDARD")), "MalformedXML", ""),
            (rule(&moves("Days", "1", "FROZEN")), "MalformedXML", ""),
            (rule(&moves("Days", "-1", "GLACIER")), "InvalidArgument", "nonnegative"),
            (rule(&moves("Days", "29", "STANDARD_IA")), "InvalidArgument", "greater than or equal to 30"),
            (rule(&moves("Date", "2020-01-01T01:00:00Z", "GLACIER")), "InvalidArgument", "midnight"),
            (
                rule(&moves("Days", "1", "GLACIER").repeat(2)),
                "InvalidRequest",
                "'StorageClass' must be different",
            ),
            (
                rule(&[moves("Days", "30", "STANDARD_IA"), moves("Days", "59", "GLACIER")].concat()),
                "InvalidArgument",
                "30 days more",
            ),
            (
                rule(&[moves("Days", "3", "GLACIER").as_str(), DAYS].concat()),
                "InvalidArgument",
                "must be greater",
            ),
            (
                rule(&[moves("Date", "2030-01-01T00:00:00Z", "GLACIER").as_str(), DAYS].concat()),
                "InvalidRequest",
                "mixed",
            ),
            (rule("<Transition><StorageClass>GLACIER</StorageClass></Transition>"), "MalformedXML", ""),
            (rule(&format!("{DAYS}<NoncurrentVersionTransition/>")), "MalformedXML", ""),
        ] {
            let (got, message) = parse(&document).unwrap_err();
            assert!(got == code && message.contains(says), "{document}: {got} {message}");
        }
        parse(&expiration("<Date>2020-01-01</Date>")).unwrap();
    }

    #[test]
    fn an_expiration_is_told_as_s3_tells_it() {
        let mut head = HeaderMap::new();
        set_expiration(&mut head, None);
        assert!(head.is_empty());
        let at = Timestamp::from_millis(1_356_048_000_000);
        set_expiration(&mut head, Some(&Expiry { at, rule: "picture deletion".into() }));
        let expected = "expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\", rule-id=\"picture%20deletion\"";
        assert_eq!(head["x-amz-expiration"], expected);
    }
}
