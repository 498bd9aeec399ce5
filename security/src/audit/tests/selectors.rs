//! What selectors take.

use super::super::{
    AdvancedSelector, DataResource, Event, EventSelector, FieldSelector, ReadWrite, Selectors,
};
use super::{call, data};

/// Data events of a bucket alone.
pub(super) fn of_bucket(bucket: &str) -> Selectors {
    Selectors::Basic(vec![EventSelector {
        read_write_type: ReadWrite::All,
        include_management_events: false,
        data_resources: vec![DataResource {
            kind: "AWS::S3::Object".to_owned(),
            values: vec![format!("arn:aws:s3:::{bucket}/")],
        }],
        exclude_management_event_sources: Vec::new(),
    }])
}

fn field(field: &str) -> FieldSelector {
    FieldSelector { field: field.to_owned(), ..FieldSelector::default() }
}

fn is(name: &str, values: &[&str]) -> FieldSelector {
    FieldSelector { equals: values.iter().map(|value| (*value).to_owned()).collect(), ..field(name) }
}

fn advanced(fields: Vec<FieldSelector>) -> Selectors {
    Selectors::Advanced(vec![AdvancedSelector { name: None, field_selectors: fields }])
}

#[test]
fn basic_selectors_take_management_by_kind_and_source_and_data_by_prefix() {
    let all = Selectors::default();
    assert!(all.take(&call("CreateBucket")) && !all.take(&data("GetObject", "arn:aws:s3:::b/k")));
    assert!(all.take(&Event { denied: true, ..data("GetObject", "arn:aws:s3:::b/k") }));
    let Selectors::Basic(mut some) = Selectors::default() else { panic!() };
    some[0].read_write_type = ReadWrite::ReadOnly;
    some[0].exclude_management_event_sources = vec!["kms.amazonaws.com".to_owned()];
    let some = Selectors::Basic(some);
    some.check().unwrap();
    assert!(!some.take(&call("CreateBucket")));
    assert!(some.take(&Event { read_only: true, ..call("ListBuckets") }));
    assert!(!some.take(&Event { read_only: true, source: "kms.amazonaws.com", ..call("Decrypt") }));
    let data_of = of_bucket("b");
    data_of.check().unwrap();
    assert!(data_of.take_data() && !data_of.take(&call("CreateBucket")));
    assert!(data_of.take(&data("PutObject", "arn:aws:s3:::b/k")));
    assert!(!data_of.take(&data("PutObject", "arn:aws:s3:::bb/k")));
}

#[test]
fn advanced_selectors_take_what_all_of_their_fields_allow() {
    let objects = || vec![is("eventCategory", &["Data"]), is("resources.type", &["AWS::S3::Object"])];
    let mut narrow = objects();
    narrow.push(is("readOnly", &["false"]));
    narrow.push(FieldSelector {
        starts_with: vec!["arn:aws:s3:::b/".to_owned()],
        not_ends_with: vec![".tmp".to_owned()],
        ..field("resources.ARN")
    });
    let narrow = advanced(narrow);
    narrow.check().unwrap();
    assert!(narrow.take_data());
    for (event, taken) in [
        (data("PutObject", "arn:aws:s3:::b/k"), true),
        (data("PutObject", "arn:aws:s3:::b/k.tmp"), false),
        (data("PutObject", "arn:aws:s3:::c/k"), false),
        (Event { read_only: true, ..data("GetObject", "arn:aws:s3:::b/k") }, false),
        (call("CreateBucket"), false),
    ] {
        assert_eq!(narrow.take(&event), taken, "{}", event.name);
    }
    let management = advanced(vec![is("eventCategory", &["Management"])]);
    management.check().unwrap();
    assert!(management.take(&call("CreateBucket")) && !management.take_data());
    for bad in [
        advanced(vec![]),
        advanced(vec![is("eventCategory", &["Network"])]),
        advanced(vec![is("eventCategory", &["Data"])]),
        advanced(vec![is("eventCategory", &["Data"]), is("resources.type", &["AWS::Lambda::Function"])]),
        advanced([objects(), vec![is("colour", &["red"])]].concat()),
        advanced([objects(), vec![field("eventName")]].concat()),
        advanced([objects(), objects()].concat()),
        Selectors::Advanced(vec![]),
        Selectors::Basic(vec![]),
    ] {
        assert_eq!(bad.check().unwrap_err().code.as_str(), "InvalidEventSelectorsException", "{bad:?}");
    }
}
