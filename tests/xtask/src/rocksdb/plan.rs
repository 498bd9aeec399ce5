//! What the unity build compiles: a pure function from librocksdb-sys's own source list to translation units, and the
//! compiler's flags, which are those of librocksdb-sys's build script for the one feature that the engine asks for, lz4.

use std::path::Path;

/// Translation units; measured at about 1.3 GB of memory each.
pub(crate) const UNITS: usize = 12;
/// librocksdb-sys has its own copy of this one, compiled apart.
const VERSION_SOURCE: &str = "util/build_version.cc";

/// One translation unit: sources that one compiler run includes one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Paths relative to RocksDB's source directory, in the list's order.
    pub(crate) sources: Vec<String>,
    /// The sum of the sources' sizes.
    pub(crate) bytes: u64,
}

/// The sources that `rocksdb_lib_sources.txt` names, without the one that is compiled apart.
pub(crate) fn sources(list: &str) -> Vec<&str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && *line != VERSION_SOURCE).collect()
}

/// Cuts the sources, with their sizes, into `UNITS` runs of like size in the list's order.
pub(crate) fn units(sources: &[(String, u64)]) -> Vec<Unit> {
    let total: u64 = sources.iter().map(|(_, bytes)| bytes).sum();
    let mut units = vec![Unit { sources: Vec::new(), bytes: 0 }; UNITS];
    let mut before = 0;
    for (source, bytes) in sources {
        let index = usize::try_from(before * UNITS as u64 / total.max(1)).unwrap_or(0).min(UNITS - 1);
        units[index].sources.push(source.clone());
        units[index].bytes += bytes;
        before += bytes;
    }
    units.retain(|unit| !unit.sources.is_empty());
    units
}

/// The text of a unit's file.
pub(crate) fn unit_text(rocksdb: &Path, unit: &Unit) -> String {
    let include = |source: &String| format!("#include \"{}\"", rocksdb.join(source).display());
    let lines: Vec<String> = unit.sources.iter().map(include).collect();
    lines.join("\n") + "\n"
}

/// Flags and definitions, without the include directories, which differ by machine and change nothing.
pub(crate) fn flags(architecture: &str) -> Vec<&'static str> {
    let mut flags = vec![
        "-O2",
        "-std=c++20",
        "-fPIC",
        "-ffunction-sections",
        "-fdata-sections",
        "-w",
        "-include",
        "cstdint",
        "-DNDEBUG=1",
        "-DLZ4=1",
        "-DHAVE_ALIGNED_NEW",
        "-DHAVE_UINT128_EXTENSION",
        "-DOS_LINUX",
        "-DROCKSDB_PLATFORM_POSIX",
        "-DROCKSDB_LIB_IO_POSIX",
        "-DROCKSDB_SCHED_GETCPU_PRESENT",
        "-DROCKSDB_AUXV_GETAUXVAL_PRESENT",
        "-DROCKSDB_FALLOCATE_PRESENT",
        "-DROCKSDB_RANGESYNC_PRESENT",
    ];
    // What .cargo/config.toml asks of rustc on this architecture: hardware CRC32C.
    if architecture == "x86_64" {
        flags.extend(["-msse2", "-msse4.1", "-msse4.2", "-mpclmul"]);
    }
    flags
}

/// How many compilers run at once: one per processor, as far as `available_kib` of memory carries them.
pub(crate) fn jobs(processors: usize, available_kib: Option<u64>) -> usize {
    const UNIT_KIB: u64 = 1_300 * 1024;
    let fit = available_kib.map_or(processors, |kib| usize::try_from(kib / UNIT_KIB).unwrap_or(processors));
    processors.min(fit).max(1)
}

/// `MemAvailable` of /proc/meminfo.
pub(crate) fn available_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_keep_every_source_once_in_the_lists_order_and_are_of_like_size() {
        let sources: Vec<(String, u64)> =
            (0..340_u64).map(|n| (format!("{n}.cc"), 1_000 + n * 37 % 900)).collect();
        let units = units(&sources);
        assert_eq!(units.len(), UNITS);
        let joined: Vec<String> = units.iter().flat_map(|unit| unit.sources.clone()).collect();
        let wanted: Vec<String> = sources.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(joined, wanted);
        let (least, most) = units.iter().fold((u64::MAX, 0), |(a, b), u| (a.min(u.bytes), b.max(u.bytes)));
        assert!(most - least < 4_000, "{least}..{most}");
    }

    #[test]
    fn few_sources_make_few_units_and_none_makes_none() {
        assert_eq!(units(&[("a.cc".into(), 5), ("b.cc".into(), 5)]).len(), 2);
        assert!(units(&[]).is_empty());
    }

    #[test]
    fn the_list_is_read_without_blanks_and_the_version_file() {
        assert_eq!(sources("a.cc\n util/build_version.cc \n\n b.cc\n"), ["a.cc", "b.cc"]);
    }

    #[test]
    fn memory_bounds_the_compilers_and_one_always_runs() {
        assert_eq!(jobs(8, Some(4_000_000)), 3);
        assert_eq!(jobs(2, Some(64_000_000)), 2);
        assert_eq!(jobs(8, Some(100)), 1);
        assert_eq!(jobs(4, None), 4);
        assert_eq!(available_kib("MemTotal: 9 kB\nMemAvailable:   123 kB\n"), Some(123));
        assert_eq!(available_kib("nothing"), None);
    }

    #[test]
    fn only_x86_64_gets_its_instruction_flags() {
        assert!(flags("x86_64").contains(&"-mpclmul"));
        assert!(!flags("aarch64").iter().any(|flag| flag.starts_with("-m")));
    }
}
