//! Every kernel against `md-5`, alone and side by side; and the lanes' bounds.

use super::kernel::{Kernel, LANES_MAX, Lane};
use super::{Lanes, Md5};
use bytes::Bytes;
use engine::memory::MemoryHold;
use md5::Digest as _;
use proptest::prelude::*;
use tokio::sync::oneshot;

fn reference(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

/// Bytes that differ by `seed`.
fn body(seed: usize, length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251 + seed * 77) % 256).unwrap()).collect()
}

/// The body in pieces of these lengths, over and over.
fn split(body: &Bytes, lengths: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut pieces) = (body.clone(), Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        pieces.push(rest.split_to(rest.len().min(*length)));
    }
    pieces
}

#[test]
fn every_length_around_a_block_is_that_of_md5() {
    for kernel in Kernel::all() {
        for length in 0..=260 {
            let body = body(length, length);
            let mut md5 = Md5::by(kernel);
            md5.update(&body);
            assert_eq!(md5.finish(), reference(&body), "{length} bytes by {kernel:?}");
        }
    }
}

#[test]
fn every_number_of_lanes_is_that_of_md5() {
    for kernel in Kernel::all() {
        for lanes in 1..=LANES_MAX + 3 {
            let bodies: Vec<Bytes> = (0..lanes).map(|lane| body(lane, 64 * 9)).collect();
            let mut wanted = vec![super::INITIAL; lanes];
            for (state, body) in wanted.iter_mut().zip(&bodies) {
                md5::block_api::compress(state, &body.as_chunks().0[..7]);
            }
            let mut states = vec![super::INITIAL; lanes];
            let pairs = states.iter_mut().zip(&bodies);
            let mut side: Vec<Lane<'_>> =
                pairs.map(|(state, body)| Lane { state, blocks: body.as_chunks().0 }).collect();
            kernel.advance(&mut side, 7);
            assert_eq!(states, wanted, "{lanes} lanes by {kernel:?}");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bodies_in_any_pieces_side_by_side_are_that_of_md5(
        bodies in prop::collection::vec((0_usize..20_000, prop::collection::vec(1_usize..5_000, 1..5)), 1..24),
        drivers in 1_usize..4,
    ) {
        let runtime = runtime();
        let _inside = runtime.enter();
        for kernel in Kernel::all() {
            let lanes = Lanes::by(kernel, drivers);
            let plain: Vec<Bytes> = bodies.iter().enumerate().map(|(n, (length, _))| body(n, *length)).collect();
            let answers: Vec<oneshot::Receiver<Md5>> = bodies
                .iter()
                .zip(&plain)
                .map(|((_, lengths), body)| lanes.submit(Md5::by(kernel), split(body, lengths), MemoryHold::default()))
                .collect();
            for (answer, body) in answers.into_iter().zip(&plain) {
                let md5 = answer.blocking_recv().unwrap();
                prop_assert_eq!(md5.finish(), reference(body), "{:?}", kernel);
            }
            prop_assert!(lanes.is_idle());
        }
    }
}

#[test]
fn a_body_alone_waits_for_no_company() {
    let runtime = runtime();
    let _inside = runtime.enter();
    for kernel in Kernel::all() {
        let lanes = Lanes::by(kernel, 1);
        let body = body(3, 300_000);
        // Answered while nobody else ever comes.
        let answer = lanes.submit(Md5::by(kernel), split(&body, &[65_536]), MemoryHold::default());
        assert_eq!(answer.blocking_recv().unwrap().finish(), reference(&body));
        assert!(lanes.is_idle());
    }
}

#[test]
fn an_upload_that_goes_away_holds_nobody_up() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let large = body(1, 100_000);
    let wanted = reference(&large);
    for (round, kernel) in Kernel::all().into_iter().cycle().take(12).enumerate() {
        let lanes = Lanes::by(kernel, 1);
        let answers: Vec<_> = (0..40)
            .map(|_| lanes.submit(Md5::by(kernel), split(&large, &[7_001]), MemoryHold::default()))
            .collect();
        // Every other one is given up, some in their lane and some before their turn.
        let kept: Vec<_> = answers.into_iter().skip(round % 2).step_by(2).collect();
        for answer in kept {
            assert_eq!(answer.blocking_recv().unwrap().finish(), wanted);
        }
        assert!(lanes.is_idle());
    }
}

#[test]
fn who_came_first_is_answered_first_when_all_bring_as_much() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let kernel = Kernel::all().pop().unwrap();
    let lanes = Lanes::by(kernel, 1);
    let one = body(2, 32 << 10);
    let mut answers: Vec<_> =
        (0..100).map(|_| lanes.submit(Md5::by(kernel), vec![one.clone()], MemoryHold::default())).collect();
    let last = answers.pop().unwrap();
    last.blocking_recv().unwrap();
    // The last one was let in when a lane became free, behind all but those beside it.
    let late = answers.iter_mut().filter_map(|answer| answer.try_recv().err()).count();
    assert!(late < LANES_MAX, "{late} earlier ones were behind it");
}
