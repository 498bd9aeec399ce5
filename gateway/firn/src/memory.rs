//! How long the allocator keeps memory that nobody uses.
//!
//! A server with pauses between its requests would otherwise give the same buffers back and have them zeroed by the kernel again
//! and again (docs/benchmarks.md).

use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` of mimalloc's `mi_option_e`; the test knows it by its default.
const PURGE_DELAY: c_int = 15;
/// mimalloc's own is 1,000.
const KEEP_MILLIS: c_long = 10_000;

#[expect(
    unsafe_code,
    reason = "the allocator's settings have no other door but its environment, which is read before us"
)]
// SAFETY: both are functions of the mimalloc that is linked in (mimalloc.h), take any numbers and touch nothing but its table
// of options, whose numbers out of range they pass by.
unsafe extern "C" {
    /// Nothing where `MIMALLOC_PURGE_DELAY` says it.
    safe fn mi_option_set_default(option: c_int, value: c_long);
    #[cfg(test)]
    safe fn mi_option_get(option: c_int) -> c_long;
}

/// From now on unused memory goes back to the system after ten seconds.
pub(crate) fn keep_for_a_while() {
    mi_option_set_default(PURGE_DELAY, KEEP_MILLIS);
}

#[cfg(test)]
mod tests {
    use super::{KEEP_MILLIS, PURGE_DELAY, keep_for_a_while, mi_option_get};

    #[test]
    fn the_delay_of_purges_is_set_and_nothing_else() {
        assert_eq!(
            mi_option_get(PURGE_DELAY),
            1_000,
            "the number is another option's, or the default has changed"
        );
        let numbers = || (0..36).filter(|option| *option != PURGE_DELAY);
        let others = || numbers().map(|option| mi_option_get(option)).collect::<Vec<_>>();
        let before = others();
        keep_for_a_while();
        assert_eq!(mi_option_get(PURGE_DELAY), KEEP_MILLIS);
        assert_eq!(others(), before);
    }
}
