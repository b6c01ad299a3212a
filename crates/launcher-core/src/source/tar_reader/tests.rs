//! Tests of `tar_reader.rs`.

use super::*;

fn read_all(data: &[u8]) -> Result<Vec<Entry>, SourceError> {
    let mut reader = TarReader::new(data);
    std::iter::from_fn(|| reader.next_entry().transpose()).collect()
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    builder.into_inner().unwrap()
}

#[test]
fn long_names_and_links_of_both_formats_are_read() {
    let long = "d/".repeat(90) + "f";
    let data = archive(|builder| {
        let mut plain = header(EntryType::Regular, 3);
        builder.append_data(&mut plain, &long, &b"abc"[..]).unwrap();
        builder
            .append_link(&mut header(EntryType::Symlink, 0), "l", &long)
            .unwrap();
        let records = [
            ("path", b"p\nq".as_slice()),
            ("size", b"2"),
            ("comment", b"x"),
        ];
        builder.append_pax_extensions(records).unwrap();
        let mut small = header(EntryType::Regular, 2);
        builder
            .append_data(&mut small, "short", &b"xy"[..])
            .unwrap();
    });
    let entries = read_all(&data).unwrap();
    assert_eq!(entries[0].path, long.as_bytes());
    assert_eq!(entries[0].size, 3);
    assert_eq!(entries[1].kind, EntryKind::Symlink(long.into_bytes()));
    assert_eq!(
        (entries[2].path.as_slice(), entries[2].size),
        (b"p\nq".as_slice(), 2)
    );
}

#[test]
fn content_can_be_read_or_skipped() {
    let data = archive(|builder| {
        for (name, content) in [("a", "one"), ("b", "two"), ("c", "three")] {
            let mut header = header(EntryType::Regular, content.len() as u64);
            builder
                .append_data(&mut header, name, content.as_bytes())
                .unwrap();
        }
    });
    let mut reader = TarReader::new(data.as_slice());
    reader.next_entry().unwrap();
    reader.next_entry().unwrap();
    let mut content = String::new();
    reader.read_to_string(&mut content).unwrap();
    assert_eq!(content, "two");
    assert_eq!(reader.next_entry().unwrap().unwrap().path, b"c");
}

#[test]
fn every_cut_is_noticed() {
    let data = archive(|builder| {
        let mut file = header(EntryType::Regular, 700);
        builder
            .append_data(&mut file, "n".repeat(150), [7; 700].as_slice())
            .unwrap();
        builder
            .append_data(&mut header(EntryType::Directory, 0), "d/", io::empty())
            .unwrap();
    });
    for cut in 0..data.len() {
        let error = read_all(&data[..cut]).expect_err("a cut archive was taken");
        assert!(matches!(error, SourceError::CutOff), "{cut}: {error}");
    }
    assert_eq!(read_all(&data).unwrap().len(), 2);
}

fn archive_of_one() -> Vec<u8> {
    archive(|builder| {
        let mut header = header(EntryType::Regular, 0);
        builder.append_data(&mut header, "a", io::empty()).unwrap();
    })
}

#[test]
fn huge_extended_headers_are_not_read_into_memory() {
    let name = vec![b'x'; 512 * 1024];
    let mut long = header(EntryType::GNULongName, name.len() as u64);
    long.set_cksum();
    let data = [long.as_bytes().as_slice(), &name, &archive_of_one()].concat();
    let error = TarReader::new(data.as_slice()).next_entry().unwrap_err();
    assert!(matches!(error, SourceError::Damaged(_)), "{error}");
}

#[test]
fn malformed_headers_are_errors() {
    let mut broken = archive_of_one();
    broken[0] ^= 1;
    assert!(matches!(read_all(&broken), Err(SourceError::Damaged(_))));
    for record in [
        "9 path=a\n",
        "99 path=a\n",
        "x path=a\n",
        "8 patha\n",
        "12 size=-1\n\n",
        "",
    ] {
        let outcome = Extensions::default().read_pax(record.as_bytes());
        assert_eq!(
            outcome.is_ok(),
            record.is_empty() || record.starts_with("9 "),
            "{record:?}"
        );
    }
}
