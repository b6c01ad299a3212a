//! Archives that must be refused, each as a tar and as a gzip of it.

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::kit::{Tar, context, entries, gzip, prepare, prepare_with, refusal};
use crate::source::tar_reader::EntryKind;
use crate::source::tree::{Tree, clean};
use crate::source::{Limits, Options, SourceError};

fn dockerfile() -> Tar {
    Tar::default().file("Dockerfile", "FROM scratch\n")
}

/// Refused in both packings, with this piece in the text.
fn assert_refused(archive: Tar, piece: &str) {
    let data = archive.build();
    for data in [gzip(&data), data] {
        let text = refusal(&data);
        assert!(text.contains(piece), "{text:?} lacks {piece:?}");
    }
}

#[test]
fn entries_that_lead_out_are_refused() {
    for path in ["../x", "a/../../x", "..", "a/.."] {
        assert_refused(dockerfile().file(path, "x"), "has \"..\" in its path");
    }
    assert_refused(
        dockerfile().file("/etc/cron.d/x", "x"),
        "has an absolute path",
    );
    assert_refused(dockerfile().dir("../x/"), "has \"..\" in its path");
}

#[test]
fn links_that_lead_out_are_refused() {
    for target in ["/etc", "..", "../x", "a/../../x"] {
        assert_refused(
            dockerfile().symlink("l", target),
            "leads out of the archive",
        );
    }
    for target in ["/etc/passwd", "../x"] {
        assert_refused(
            dockerfile().hardlink("l", target),
            "leads out of the archive",
        );
    }
    assert_refused(
        dockerfile().hardlink("l", "later").file("later", ""),
        "no earlier file",
    );
    assert_refused(
        dockerfile().dir("d/").symlink("l", "d").file("l/x", ""),
        "behind a symbolic",
    );
    let twisted = dockerfile().symlink("s/d", "..").symlink("s/e", "d/../x");
    assert_refused(twisted, "leads out of the archive");
}

/// Folder in which a bundle's links may lead out.
const GYP: &str = "bundle/node_modules/x/build/node_gyp_bins";

#[test]
fn other_links_out_of_a_bundle_are_refused_with_advice() {
    let advice = "leads out of the archive; remove it from the archive, or make it a relative link";
    for path in [
        "bundle/python3",
        "bundle/build/node_gyp_bins/python3",
        "bundle/node_modules/x/node_gyp_bins/python3",
        "bundle/node_modules/x/build/python3",
        "bundle/node_modules/x/build/node_gyp_bins",
        "bundle/node_modules/x/build/node_gyp_bins/deeper/python3",
        "bundle/node_modules/x/rebuild/node_gyp_bins/python3",
        "bundle/my_node_modules/x/build/node_gyp_bins/python3",
        "beside/node_modules/x/build/node_gyp_bins/python3",
    ] {
        assert_refused(
            Tar::default().bundle().symlink(path, "/usr/bin/python3"),
            advice,
        );
    }
    let python = format!("{GYP}/python3");
    let with_dockerfile = dockerfile().bundle().symlink(&python, "/usr/bin/python3");
    assert_refused(with_dockerfile, advice);
}

#[test]
fn nothing_goes_through_a_link_that_is_left_out() {
    let python = format!("{GYP}/python3");
    let linked = || Tar::default().bundle().symlink(&python, "/usr");
    let below = format!("{python}/lib");
    assert_refused(linked().file(&below, ""), "behind a symbolic");
    assert_refused(
        Tar::default()
            .bundle()
            .file(&below, "")
            .symlink(&python, "/usr"),
        "appears twice",
    );
    assert_refused(linked().file(&python, ""), "appears twice");
    assert_refused(linked().symlink(&python, "/etc"), "appears twice");
    let through = "node_modules/x/build/node_gyp_bins/python3/lib";
    assert_refused(
        linked().symlink("bundle/l", through),
        "entry \"bundle/l\" is a link that leads",
    );
    assert_refused(
        linked().hardlink("bundle/h", &python),
        "leads out of the archive",
    );
    // Leads inside from its own folder, but names one that does not.
    let outside = "../".repeat(6) + "x";
    let deep = "bundle/a/b/c/d/e/f/g/h";
    let shared = Tar::default()
        .bundle()
        .symlink(&python, &outside)
        .hardlink(deep, &python);
    assert_refused(shared, "leads out of the archive");
}

#[test]
fn things_that_are_no_files_are_refused() {
    for (kind, piece) in [
        (EntryType::Char, "is a device"),
        (EntryType::Block, "is a device"),
        (EntryType::Fifo, "is a named pipe"),
        (EntryType::GNUSparse, "is a sparse file"),
        (EntryType::new(b'V'), "is of an unknown kind"),
    ] {
        assert_refused(dockerfile().raw(kind, "x", "", &[], 0o644), piece);
    }
    let record = b"22 GNU.sparse.major=1\n";
    let sparse = dockerfile()
        .raw(EntryType::XHeader, "x", "", record, 0o644)
        .file("x", "");
    assert_refused(sparse, "is a sparse file");
}

#[test]
fn names_that_are_no_text_are_refused() {
    let archive = dockerfile().raw(EntryType::Regular, b"caf\xe9", "", b"", 0o644);
    assert_refused(archive, "not UTF-8");
    let long = "d/".repeat(600) + "\0";
    let archive = dockerfile()
        .raw(
            EntryType::GNULongName,
            "././@LongLink",
            "",
            long.as_bytes(),
            0,
        )
        .file("short", "");
    assert_refused(archive, "too long a path");
    assert_refused(dockerfile().file("", "x"), "has no name");
}

#[test]
fn refusals_show_names_harmlessly() {
    let text = refusal(&dockerfile().file("../\x1b[2J\n\"x", "").build());
    assert!(text.contains(r#""../\u{1b}[2J\n\"x""#), "{text}");
}

#[test]
fn archives_of_nothing_are_refused() {
    assert!(matches!(prepare(b""), Err(SourceError::Empty)));
    assert!(matches!(prepare(&gzip(b"")), Err(SourceError::Empty)));
    assert_refused(Tar::default(), "the archive is empty");
    assert_refused(Tar::default().dir("./").dir("a/"), "the archive is empty");
}

#[test]
fn other_files_are_named() {
    for (data, piece) in [
        (
            &b"<!DOCTYPE html><html><body>404</body></html>"[..],
            "but an HTML page",
        ),
        (b"PK\x03\x04rest of the zip", "but a zip file"),
        (b"not found", "but a text"),
        (&[0xab; 2000], "but something else"),
    ] {
        assert!(refusal(data).contains(piece), "{}", refusal(data));
        assert!(
            refusal(&gzip(data)).contains(piece),
            "{}",
            refusal(&gzip(data))
        );
    }
    let twice = gzip(&gzip(&dockerfile().build()));
    assert!(refusal(&twice).contains("a gzip file inside a gzip file"));
}

#[test]
fn every_cut_of_a_plain_archive_is_noticed() {
    let data = dockerfile()
        .file("d/f", [7; 1300])
        .symlink("l", "d")
        .hardlink("h", "d/f")
        .build();
    for end in (0..=data.len()).step_by(512) {
        for cut in [end.saturating_sub(1), end, end + 1] {
            let Some(part) = data.get(..cut) else {
                continue;
            };
            assert_eq!(prepare(part).is_ok(), cut == data.len(), "cut at {cut}");
        }
    }
}

#[test]
fn every_cut_of_a_packed_archive_is_noticed() {
    let noise: Vec<u8> = (0..3000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let data = gzip(&dockerfile().file("noise", noise).build());
    for cut in 0..data.len() {
        assert!(
            prepare(&data[..cut]).is_err(),
            "cut at {cut} of {}",
            data.len()
        );
    }
    assert!(prepare(&data).is_ok());
}

#[test]
fn damage_is_noticed() {
    let mut data = gzip(&dockerfile().file("f", "content").build());
    let checksum = data.len() - 8;
    data[checksum] ^= 1;
    assert!(refusal(&data).contains("gzip data is corrupt"));
    let mut data = dockerfile().file("f", "content").build();
    data[1024] ^= 1;
    assert!(refusal(&data).contains("wrong checksum"));
}

#[test]
fn a_gzip_of_several_parts_is_read_to_its_end() {
    let data = dockerfile().file("f", "x").build();
    let parts = [gzip(&data[..700]), gzip(&data[700..])].concat();
    assert!(prepare(&parts).is_ok());
    assert!(prepare(&gzip(&data[..700])).is_err());
}

fn limited(limits: Limits) -> Options {
    Options {
        limits,
        ..Options::default()
    }
}

#[test]
fn crowds_are_refused() {
    let crowd = (0..50)
        .fold(dockerfile(), |tar, n| tar.file(&format!("f{n}"), ""))
        .build();
    let limits = Limits {
        entries: 50,
        ..Limits::default()
    };
    let error = prepare_with(&crowd, &limited(limits)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the archive is refused: it has more than 50 entries"
    );
}

#[test]
fn bombs_are_refused() {
    let bomb = gzip(
        &dockerfile()
            .file("zeros", vec![0; 66 * 1024 * 1024])
            .build(),
    );
    assert!(bomb.len() < 100_000);
    assert!(
        refusal(&bomb).contains("like an archive bomb"),
        "{}",
        refusal(&bomb)
    );

    let large = gzip(&dockerfile().file("zeros", vec![0; 100_000]).build());
    let limits = Limits {
        unpacked_bytes: 50_000,
        ..Limits::default()
    };
    let error = prepare_with(&large, &limited(limits)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("more than 50000 bytes when unpacked"),
        "{error}"
    );

    // Zeros after the end mark are read too, for the checksum behind them.
    let mut padded = dockerfile().build();
    padded.resize(70 * 1024 * 1024, 0);
    assert!(refusal(&gzip(&padded)).contains("like an archive bomb"));
}

#[test]
fn a_header_that_announces_too_much_is_refused() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.as_old_mut().name[0] = b'x';
    header.set_size(1 << 50);
    let archive = dockerfile().header(header.clone(), b"short");
    assert_refused(archive, "the archive is cut off");
    header.set_size(u64::MAX);
    assert_refused(dockerfile().header(header, b"short"), "absurd");
}

#[test]
fn a_file_and_a_folder_of_one_name_are_refused() {
    let twice = "appears twice, as a file and as a folder";
    assert_refused(dockerfile().file("x", "").dir("x/"), twice);
    assert_refused(dockerfile().dir("x/").file("x", ""), twice);
    assert_refused(dockerfile().file("x/y", "").file("x", ""), twice);
    assert_refused(
        dockerfile().file("x/y", "").hardlink("x", "Dockerfile"),
        twice,
    );
    assert_refused(
        dockerfile().file("x", "").file("x/y", ""),
        "lies below a file",
    );
    assert_refused(
        dockerfile().hardlink("x", "Dockerfile").file("x/y", ""),
        "lies below a file",
    );
}

#[test]
fn a_dockerfile_that_is_a_link_leads_to_a_file_inside_or_nowhere() {
    let linked = |target: &str| {
        Tar::default()
            .file("d/f", "FROM scratch\n")
            .symlink("Dockerfile", target)
    };
    assert!(prepare(&linked("d/f").build()).is_ok());
    for target in ["d", "nowhere", "Dockerfile"] {
        assert_refused(linked(target), "no Dockerfile at its root");
    }
    for target in ["/etc/passwd", "../x", "d/../../x"] {
        assert_refused(linked(target), "leads out of the archive");
    }
}

/// A pax header of these records, and a file after it.
fn pax(records: &[&str]) -> Tar {
    let record = |text: &&str| {
        let length = text.len() + 4;
        assert!((10..100).contains(&length), "two digits");
        format!("{length} {text}\n")
    };
    let text: String = records.iter().map(record).collect();
    dockerfile()
        .raw(EntryType::XHeader, "pax", "", text.as_bytes(), 0o644)
        .file("short", "x")
}

#[test]
fn names_in_extended_headers_are_checked_as_all_others() {
    assert_refused(pax(&["path=../../escaped"]), "has \"..\" in its path");
    assert_refused(pax(&["path=/etc/cron.d/x"]), "has an absolute path");
    assert_refused(pax(&["path=a\0b"]), "has a NUL in its path");
    // The last one counts, as in Go's reader.
    assert_refused(
        pax(&["path=harmless", "path=/etc/cron.d/x"]),
        "has an absolute path",
    );
    let long = dockerfile()
        .raw(
            EntryType::GNULongName,
            "././@LongLink",
            "",
            b"../../escaped\0",
            0,
        )
        .file("short", "");
    assert_refused(long, "has \"..\" in its path");
    let link = dockerfile()
        .raw(
            EntryType::GNULongLink,
            "././@LongLink",
            "",
            b"/etc/passwd\0",
            0,
        )
        .symlink("l", "Dockerfile");
    assert_refused(link, "leads out of the archive");
}

#[test]
fn extended_headers_of_nonsense_are_refused() {
    let raw = |text: &[u8]| {
        dockerfile()
            .raw(EntryType::XHeader, "pax", "", text, 0o644)
            .file("x", "x")
    };
    for text in [
        &b"nonsense"[..],
        b"99 path=x\n",
        b"3 \n",
        b"0 path=x\n",
        b"-1 path=x\n",
        b"18446744073709551615 p=x\n",
        b"9 path=x",
    ] {
        assert_refused(raw(text), "a pax header is malformed");
    }
    assert_refused(pax(&["size=many"]), "a pax header is malformed");
    assert_refused(pax(&["size=99999999999999999"]), "size is absurd");
    // Says that the file is larger than the archive.
    assert_refused(pax(&["size=999999999"]), "the archive is cut off");
    let huge = vec![b'x'; 300 * 1024];
    assert_refused(raw(&huge), "an extended header is too large");
    // An extended header with nothing behind it.
    let last = dockerfile().raw(EntryType::XHeader, "pax", "", b"10 path=x\n", 0o644);
    assert!(prepare(&last.build()).is_err() || Tar::default().build().len() == 1024);
}

/// Any entry, of names that often meet.
fn any_entry() -> impl Strategy<Value = (u8, String, String)> {
    let part = prop_oneof![
        4 => "[abc]", 1 => Just("..".to_owned()), 1 => Just(".".to_owned()), 1 => Just(String::new())
    ];
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    (0..4_u8, path.clone(), path)
}

/// A header as nobody writes it.
#[derive(Debug, Clone)]
struct AnyHeader {
    kind: u8,
    name: String,
    link: String,
    /// Announced besides what is there.
    size: Option<u64>,
    mode: u32,
    content: Vec<u8>,
}

impl AnyHeader {
    fn write(&self, tar: Tar) -> Tar {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::new(self.kind));
        header.set_mode(self.mode);
        header.set_size(self.size.unwrap_or(self.content.len() as u64));
        let old = header.as_old_mut();
        old.name[..self.name.len()].copy_from_slice(self.name.as_bytes());
        old.linkname[..self.link.len()].copy_from_slice(self.link.as_bytes());
        tar.header(header, &self.content)
    }
}

fn any_header() -> impl Strategy<Value = AnyHeader> {
    let name = || {
        prop_oneof![
            "[ab](/[ab]){0,2}/?",
            Just("../a".to_owned()),
            Just("/a".to_owned())
        ]
    };
    let record = prop_oneof![
        name().prop_map(|name| format!("path={name}")),
        name().prop_map(|name| format!("linkpath={name}")),
        (0..2000_u32).prop_map(|size| format!("size={size}")),
        Just("GNU.sparse.size=1".to_owned()),
    ];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        name().prop_map(|name| format!("{name}\0").into_bytes()),
        record.prop_map(|text| format!("{} {text}\n", text.len() + 4).into_bytes()),
    ];
    let kind = prop::sample::select(b"0123456789LKxgSVDAMNX\0z".to_vec());
    let size = prop::option::weighted(0.1, 0..3000_u64);
    (kind, name(), name(), size, any::<u32>(), content).prop_map(
        |(kind, name, link, size, mode, content)| AnyHeader {
            kind,
            name,
            link,
            size,
            mode: mode & 0o7777,
            content,
        },
    )
}

/// The same in and around the folder in which links may lead out.
fn any_gyp_entry() -> impl Strategy<Value = (u8, String, String)> {
    let name = prop_oneof!["[ab]", "[ab]/c"];
    let folder = prop_oneof![
        3 => Just(GYP),
        1 => Just("bundle/p/q/r/s/t/u"),
        1 => Just("bundle")
    ];
    let path = (folder, name).prop_map(|(folder, name)| format!("{folder}/{name}"));
    let out = prop_oneof![
        Just("/usr".to_owned()),
        (1..8_usize, "[ab]").prop_map(|(up, name)| "../".repeat(up) + &name)
    ];
    (0..4_u8, path.clone(), path, out).prop_map(|(kind, path, other, out)| {
        let target = if kind == 2 { out } else { other };
        (kind, path, target)
    })
}

fn archive_of(script: &[(u8, String, String)]) -> Vec<u8> {
    with(dockerfile(), script)
}

fn with(start: Tar, script: &[(u8, String, String)]) -> Vec<u8> {
    let add = |tar: Tar, (kind, path, target): &(u8, String, String)| match kind {
        0 => tar.file_with_mode(path, target, 0o6755),
        1 => tar.dir(&format!("{path}/")),
        2 => tar.symlink(path, target),
        _ => tar.hardlink(path, target),
    };
    script.iter().fold(start, add).build()
}

proptest! {
    /// Whatever is taken: in what the engine gets, all paths are safe and plain, links stay inside,
    /// and nothing is setuid.
    #[test]
    fn contexts_are_safe(script in prop::collection::vec(any_entry(), 0..8)) {
        let Ok(prepared) = prepare(&archive_of(&script)) else { return Ok(()) };
        let mut tree = Tree::new(1000);
        for (entry, _) in entries(&context(prepared)) {
            let path = clean(&entry.path).unwrap();
            prop_assert_eq!(path.as_bytes(), entry.path.strip_suffix(b"/").unwrap_or(&entry.path));
            prop_assert!(!matches!(entry.kind, EntryKind::Forbidden(_)));
            prop_assert_eq!(entry.mode & !0o777, 0);
            tree.add(&path, &entry.kind).unwrap();
        }
        tree.check_links(|_| false).unwrap();
    }

    /// The same for bundles, some of whose links are left out.
    #[test]
    fn contexts_of_bundles_are_safe(script in prop::collection::vec(any_gyp_entry(), 0..8)) {
        let Ok(prepared) = prepare(&with(Tar::default().bundle(), &script)) else { return Ok(()) };
        let mut tree = Tree::new(1000);
        for (entry, _) in entries(&context(prepared)) {
            tree.add(&clean(&entry.path).unwrap(), &entry.kind).unwrap();
        }
        tree.check_links(|_| false).unwrap();
    }

    /// Unpacked by a kernel, with links followed as it does, nothing appears outside.
    #[test]
    fn contexts_unpack_inside(script in prop::collection::vec(any_entry(), 0..8)) {
        let Ok(prepared) = prepare(&archive_of(&script)) else { return Ok(()) };
        let outside = tempfile::tempdir().unwrap();
        let inside = outside.path().join("a/b/c");
        std::fs::create_dir_all(&inside).unwrap();
        // A file and a folder of one name cannot both be unpacked; what was is checked all the same.
        let _ = tar::Archive::new(context(prepared).as_slice()).unpack(&inside);
        let root = inside.canonicalize().unwrap();
        for entry in walk(&inside) {
            let leads_to = entry.canonicalize();
            prop_assert!(leads_to.is_err() || leads_to.unwrap().starts_with(&root), "{entry:?}");
        }
    }

    /// Arbitrary bytes never panic and are never taken.
    #[test]
    fn noise_is_refused(data in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(prepare(&data).is_err());
    }

    /// Headers of any kind, with any names, sizes and contents, never panic; what is taken is safe.
    #[test]
    fn headers_of_any_kind_never_panic(script in prop::collection::vec(any_header(), 0..6)) {
        let archive = script.iter().fold(dockerfile(), |tar, header| header.write(tar));
        let Ok(prepared) = prepare(&archive.build()) else { return Ok(()) };
        let mut tree = Tree::new(1000);
        for (entry, _) in entries(&context(prepared)) {
            prop_assert_eq!(entry.mode & !0o777, 0);
            tree.add(&clean(&entry.path).unwrap(), &entry.kind).unwrap();
        }
        tree.check_links(|_| false).unwrap();
    }

    /// A changed byte is an error or a context that can still be read, never a panic.
    #[test]
    fn changed_bytes_never_panic(at in 0..4096_usize, to in any::<u8>()) {
        let mut data = dockerfile().bundle().symlink("l", "bundle").hardlink("h", "Dockerfile").build();
        data[at] = to;
        if let Ok(prepared) = prepare(&data) {
            entries(&context(prepared));
        }
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}
