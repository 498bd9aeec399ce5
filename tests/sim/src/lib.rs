//! Days of retrievals in simulated time: what the vault's scheduler does with a petabyte, beside what first come, first served would do.
//!
//! The scheduler is the shipped one (`archive::retrieval::Scheduler`): the [`world`] hands it requests and what drives and media do, and does what
//! it plans. Nothing sleeps; everything comes from a seed. The world checks what no plan may do: read what is not mounted, mount into a full
//! drive, have one medium in two drives.
//!
//! ## The petabyte
//! - **Media**: 100 of 10 TB; 4 drives. Mount 60 s, unmount 30 s, a seek 2 s and up to 60 s by distance, 300 MB/s. What a drive really takes differs
//!   from that by up to a tenth either way, at random.
//! - **Requests**: 7,581 in 24 hours, five times as many in an hour of the day (8 to 20) as in one of the night, at random times. An eighth of them are
//!   *campaigns*: 20 to 60 requests of one tier for one medium or two within ten minutes. The others want any medium, each as likely as the other.
//! - **Mix**: 1 % Expedited (1 to 250 MB), 34 % Standard, 65 % Bulk (10 MB to 20 GB); each order of magnitude is as likely as another.
//! - **Deadlines** are AWS's: 5 minutes, 5 hours, 12 hours.
//! - **First come, first served** has the same requests: a drive that is free takes the oldest one, where its medium is in a drive already that drive
//!   takes it next and without a mount.
//!
//! An ETA's error is the difference between the first quote and what came of it, over the time that the job took.
//!
//! ## What comes of it
//! Of seeds 1 to 24 (`FIRN_ROUNDS=24 cargo test -p sim --test petabyte -- --nocapture`), 29 November 2026:
//!
//! | what | asked for | least and most of 24 days |
//! |---|---|---|
//! | mounts, of those by first come, first served | at most 1/8 | 680 to 729, of 6,546 to 6,985: 1/9.2 to 1/10.1 |
//! | deadlines missed; by first come, first served | 0 | 0; 5,126 to 5,377 |
//! | ETA error, median | 10 % | 0.4 to 0.8 % |
//! | ETA error, p95 | 30 % | 5.3 to 16.0 % |
//! | the slowest job, of 12 h | | 4.3 to 5.3 h |
//! | drives busy | | 45 to 48 % |
//!
//! With 2 % Expedited instead of one, which are mounts that nothing can share: 742 to 867 mounts of 6,594 to 6,900 (one day of the 24 above an eighth), p95
//! 7 to 28 %, no deadline missed. With one drive for all of it, which is half of what it takes: 511 mounts of 7,283, no job takes more than 34 hours,
//! Expedited is in time, and quotes are off by a third at the median.

pub mod dice;
pub mod fifo;
pub mod report;
pub mod requests;
pub mod world;
