//! Documents are compared with goldens; pages of any size with the whole.

use super::{Description, Entry, Format, Marker, Place, Selected, Selection, Writer, date, date_with_millis};
use crate::tree_hash::TreeHash;
use engine::clock::Timestamp;
use engine::unit::ByteCount;

const ARN: &str = "arn:aws:glacier:us-east-1:012345678901:vaults/examplevault";
/// 2012-05-15T17:19:46.700Z
const T0: i64 = 1_337_102_386_700;

fn entry(number: i64, description: &str) -> Entry {
    Entry {
        place: Place {
            created: Timestamp::from_millis(T0 + number * 1000),
            archive: format!("archive-{number}"),
        },
        description: Description::new(description).unwrap(),
        size: ByteCount::new(2_140_123),
        tree_hash: TreeHash::of(b""),
    }
}

fn document(format: Format, selection: Selection, entries: &[Entry]) -> (String, Option<Marker>) {
    let mut out = String::new();
    let mut writer = Writer::begin(format, selection, ARN, Timestamp::from_millis(T0), &mut out);
    for entry in entries {
        if !writer.push(entry, &mut out) {
            break;
        }
    }
    let marker = writer.finish(&mut out);
    (out, marker)
}

#[test]
fn json_has_its_golden_form() {
    let (text, marker) =
        document(Format::Json, Selection::default(), &[entry(0, "my \"first\" \\ one"), entry(1, "")]);
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = format!(
        concat!(
            r#"{{"VaultARN":"arn:aws:glacier:us-east-1:012345678901:vaults/examplevault","#,
            r#""InventoryDate":"2012-05-15T17:19:46Z","ArchiveList":["#,
            r#"{{"ArchiveId":"archive-0","ArchiveDescription":"my \"first\" \\ one","CreationDate":"2012-05-15T17:19:46Z","#,
            r#""Size":2140123,"SHA256TreeHash":"{hash}"}},"#,
            r#"{{"ArchiveId":"archive-1","ArchiveDescription":"","CreationDate":"2012-05-15T17:19:47Z","#,
            r#""Size":2140123,"SHA256TreeHash":"{hash}"}}]}}"#
        ),
        hash = hash
    );
    assert_eq!(text, expected);
    assert_eq!(marker, None);
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["ArchiveList"][0]["ArchiveDescription"], "my \"first\" \\ one");
    let (empty, _) = document(Format::Json, Selection::default(), &[]);
    assert!(empty.ends_with(r#""ArchiveList":[]}"#));
}

#[test]
fn csv_has_its_golden_form() {
    let (text, _) = document(Format::Csv, Selection::default(), &[entry(0, r#"a, "b" \ c"#), entry(1, "")]);
    assert_eq!(
        text,
        concat!(
            "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n",
            r#"archive-0,"a, \"b\" \\ c",2012-05-15T17:19:46Z,2140123,"#,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
            r#"archive-1,"",2012-05-15T17:19:47Z,2140123,"#,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
        )
    );
    assert_eq!((Format::Csv.content_type(), Format::Json.content_type()), ("text/csv", "application/json"));
    assert_eq!("CSV".parse(), Ok(Format::Csv));
    assert_eq!("csv".parse::<Format>().unwrap_err().name, "Format");
}

#[test]
fn limits_and_markers_page_through_a_vault_exactly_once() {
    let all: Vec<Entry> = (0..23).map(|number| entry(number / 2, &format!("{number}"))).collect();
    // Two of each second: ids decide, and have to differ.
    let all: Vec<Entry> = all
        .into_iter()
        .enumerate()
        .map(|(number, mut entry)| {
            entry.place.archive = format!("archive-{number:02}");
            entry
        })
        .collect();
    for limit in [1, 2, 7, 22, 23, 24] {
        let mut seen = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let selection =
                Selection::parse(None, None, Some(&limit.to_string()), marker.as_deref()).unwrap();
            let begins = selection.begins();
            let rows: Vec<Entry> = all
                .iter()
                .filter(|row| begins.as_ref().is_none_or(|begin| row.place >= *begin))
                .cloned()
                .collect();
            let (text, next) = document(Format::Csv, selection, &rows);
            let page: Vec<_> = text.lines().skip(1).map(|line| line[..10].to_owned()).collect();
            assert!(page.len() <= limit);
            seen.extend(page);
            assert!(seen.len() <= all.len(), "limit {limit}: {seen:?}");
            match next {
                Some(next) => marker = Some(next.to_string()),
                None => break,
            }
        }
        let expected: Vec<_> = all.iter().map(|entry| entry.place.archive.clone()).collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[test]
fn date_ranges_include_their_start_and_not_their_end() {
    let all: Vec<Entry> = (0..10).map(|number| entry(number, "")).collect();
    let at = |number: i64| date_with_millis(Timestamp::from_millis(T0 + number * 1000));
    for (start, end, expected) in [
        (Some(3), Some(6), 3..6),
        (None, Some(6), 0..6),
        (Some(3), None, 3..10),
        (Some(20), None, 0..0),
        (None, Some(-5), 0..0),
    ] {
        let selection =
            Selection::parse(start.map(at).as_deref(), end.map(at).as_deref(), None, None).unwrap();
        let (text, marker) = document(Format::Csv, selection, &all);
        let ids: Vec<_> = text.lines().skip(1).map(|line| line[..9].to_owned()).collect();
        assert_eq!(ids, expected.map(|number| format!("archive-{number}")).collect::<Vec<_>>());
        assert_eq!(marker, None);
    }
}

#[test]
fn the_end_of_a_range_ends_the_reading() {
    let selection = Selection::parse(None, Some("2012-05-15T17:19:47Z"), None, None).unwrap();
    assert_eq!(selection.judge(&entry(1, "").place, 0, None), Selected::End(None));
    let mut out = String::new();
    let mut writer = Writer::begin(Format::Json, selection, ARN, Timestamp::from_millis(T0), &mut out);
    assert!(writer.push(&entry(0, ""), &mut out));
    assert!(!writer.push(&entry(1, ""), &mut out));
    let before = out.clone();
    assert!(!writer.push(&entry(0, ""), &mut out), "also what would fit");
    assert_eq!((out, writer.listed()), (before, 1));
}

fn refused(
    start: Option<&str>,
    end: Option<&str>,
    limit: Option<&str>,
    marker: Option<&str>,
) -> &'static str {
    Selection::parse(start, end, limit, marker).unwrap_err().name
}

#[test]
fn parameters_out_of_form_are_refused_by_name() {
    for bad in ["", "2013-03-20", "2013-02-30T00:00:00Z", "2013-03-20T17:03:43+01:00", "now"] {
        assert_eq!(refused(Some(bad), None, None, None), "StartDate", "{bad:?}");
        assert_eq!(refused(None, Some(bad), None, None), "EndDate", "{bad:?}");
    }
    let day = Some("2013-03-20T17:03:43Z");
    assert_eq!(refused(day, day, None, None), "EndDate");
    for bad in ["", "0", "-1", "+1", "1.5", "99999999999999999999"] {
        assert_eq!(refused(None, None, Some(bad), None), "Limit", "{bad:?}");
    }
    let good = Marker::after(entry(0, "").place).to_string();
    assert_eq!(good.parse::<Marker>().unwrap(), Marker::after(entry(0, "").place));
    for at in 0..good.len() {
        let other = if good.as_bytes()[at] == b'0' { "1" } else { "0" };
        let bad = format!("{}{other}{}", &good[..at], &good[at + 1..]);
        assert_eq!(refused(None, None, None, Some(&bad)), "Marker", "{bad}");
        assert_eq!(refused(None, None, None, Some(&good[..at])), "Marker");
    }
    assert_eq!(refused(None, None, None, Some(&"0".repeat(2000))), "Marker");
    assert_eq!(Description::new("tab\t").unwrap_err().name, "Description");
    assert_eq!(Description::new("é").unwrap_err().name, "Description");
    assert_eq!(Description::new(&"x".repeat(1025)).unwrap_err().name, "Description");
    Description::new(&"~ ".repeat(512)).unwrap();
}

#[test]
fn dates_are_utc_and_never_fail() {
    assert_eq!(date(Timestamp::from_millis(T0)), "2012-05-15T17:19:46Z");
    assert_eq!(date_with_millis(Timestamp::from_millis(T0)), "2012-05-15T17:19:46.700Z");
    assert_eq!(date_with_millis(Timestamp::from_millis(-1)), "1969-12-31T23:59:59.999Z");
    assert!(date(Timestamp::from_millis(i64::MAX)).starts_with("9999-"));
    assert!(date(Timestamp::from_millis(i64::MIN)).starts_with("-9999-"));
}
