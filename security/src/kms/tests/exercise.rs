//! The exercise of the course: three keys, four people, 24 cells.

use super::{Bench, arn, asks, delegates, document, says, tells};

#[tokio::test]
async fn three_keys_and_four_people_are_twenty_four_cells() {
    let bench = Bench::new().await;
    let alice = bench.user("alice", "").await;
    let bob = bench.user("bob", "").await;
    let charlie = bench.user("charlie", "").await;
    let david = bench.user("david", "").await;
    let a = bench.key(Some(&document(&delegates()))).await;
    let both = [tells("Allow", &arn("bob"), "\"kms:*\""), tells("Allow", &arn("charlie"), "\"kms:*\"")];
    let b = bench.key(Some(&document(&both.join(",")))).await;
    let denies = ["bob", "charlie", "david"].map(|name| tells("Deny", &arn(name), "\"kms:*\"")).join(",");
    let c = format!("{},{},{denies}", delegates(), tells("Allow", &arn("alice"), "\"kms:*\""));
    let c = bench.key(Some(&document(&c))).await;
    let give = async |name: &str, statements: String| {
        let (owner, text) = (crate::identity::Owner::User(name), document(&statements));
        bench.ids.put_inline(super::own(), owner, "p", &text).await.unwrap();
    };
    give("alice", [says("Allow", "\"kms:*\"", &a), says("Allow", "\"kms:*\"", &b)].join(",")).await;
    give("charlie", says("Allow", "\"kms:Encrypt\"", &a)).await;
    give("david", [says("Allow", "\"kms:*\"", &b), says("Allow", "\"kms:*\"", &c)].join(",")).await;
    let expected = [
        (&alice, [(true, true), (false, false), (true, true)]),
        (&bob, [(false, false), (true, true), (false, false)]),
        (&charlie, [(true, false), (true, true), (false, false)]),
        (&david, [(false, false), (false, false), (false, false)]),
    ];
    // Somebody may encrypt with each of them.
    let mut sealed = Vec::new();
    for (key, who) in [(&a, &alice), (&b, &bob), (&c, &alice)] {
        let who = bench.who(who).await;
        sealed.push(bench.encrypt(&asks(&who), key).await.unwrap().ciphertext);
    }
    let mut cells = 0;
    for (person, (user, row)) in expected.into_iter().enumerate() {
        let who = bench.who(user).await;
        for (at, (key, (encrypts, decrypts))) in [&a, &b, &c].into_iter().zip(row).enumerate() {
            let did = bench.encrypt(&asks(&who), key).await;
            assert_eq!(
                super::code(did),
                if encrypts { "done" } else { "AccessDeniedException" },
                "{person} {at}"
            );
            let did = bench.decrypt(&asks(&who), &sealed[at]).await;
            assert_eq!(
                super::code(did),
                if decrypts { "done" } else { "AccessDeniedException" },
                "{person} {at}"
            );
            cells += 2;
        }
    }
    assert_eq!(cells, 24);
}
