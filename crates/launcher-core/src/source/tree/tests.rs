//! Tests of `tree.rs`.

use super::*;

/// One entry a word: `dir/`, `file`, `link->target`, `hard=>target`.
fn tree(script: &str) -> Result<Tree, SourceError> {
    let mut tree = Tree::new(1000);
    for word in script.split_whitespace() {
        let (path, kind) = if let Some((path, target)) = word.split_once("->") {
            (path, EntryKind::Symlink(target.into()))
        } else if let Some((path, target)) = word.split_once("=>") {
            (path, EntryKind::Hardlink(target.into()))
        } else if word.ends_with('/') {
            (word, EntryKind::Directory)
        } else {
            (word, EntryKind::File)
        };
        tree.add(&clean(path.as_bytes())?, &kind)?;
    }
    tree.check_links(|_| false)?;
    Ok(tree)
}

#[test]
fn paths_are_made_canonical() {
    for (raw, expected) in [
        ("./a//b/./c/", "a/b/c"),
        ("./", ""),
        (".", ""),
        ("a..b/...", "a..b/..."),
        ("ä", "ä"),
    ] {
        assert_eq!(clean(raw.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    let long = "x".repeat(MAX_PATH + 1);
    for raw in [
        b"/etc/passwd".as_slice(),
        b"..",
        b"a/../b",
        b"a/..",
        b"\xff",
        b"a\0b",
    ] {
        assert!(clean(raw).is_err(), "{raw:?}");
    }
    assert!(clean(long.as_bytes()).is_err());
}

#[test]
fn links_that_stay_inside_are_taken() {
    for script in [
        "a b->a",
        "d/f l->d/f",
        "d/e/f d/l->../d/e/f",
        "l->nowhere",
        "x->y y->x",
        "a->. f",
        "d/l->..",
        "f g=>f h=>g",
        "l->f f m=>l",
        "l->f l->f f",
        "node_modules/.bin/x->../x/cli.js node_modules/x/cli.js",
    ] {
        assert!(tree(script).is_ok(), "{script}: {:?}", tree(script).err());
    }
}

#[test]
fn links_that_lead_out_are_refused() {
    for script in [
        "l->/etc/passwd",
        "l->..",
        "l->../x",
        "d/l->../../x",
        "d/l->a/../../../x",
        // Through another link, where the text alone looks harmless.
        "s/d->.. s/e->d/../x",
        "s/e->d/../x s/d->..",
        "a/b/c->../.. a/l->b/c/../x",
        // A second name of a link in another folder.
        "d/l->../x m=>d/l",
    ] {
        assert!(tree(script).is_err(), "{script}");
    }
}

#[test]
fn entries_behind_links_are_refused() {
    for script in [
        "l->d l/f",
        "d/ l->d l/sub/f",
        "l/f l->d",
        "l->d l",
        "l->d l/",
        "l l->d",
        "l->a l->b",
        "l->a f l=>f",
        "f=>missing",
        "d/ f=>d",
        "f=>../f",
        "f=>/etc/passwd",
        "f=>f",
    ] {
        assert!(tree(script).is_err(), "{script}");
    }
}

#[test]
fn files_are_found_through_links() {
    let tree = tree("store/x/p m/x->../store/x e/").unwrap();
    assert!(tree.has_file("m/x/p") && tree.has_file("store/x/p"));
    assert!(tree.has_directory("m/x") && tree.has_directory("e"));
    assert!(!tree.has_file("m/x") && !tree.has_file("m/x/q") && !tree.has_directory("f"));
}

#[test]
fn tangles_and_crowds_are_refused_in_bounded_time() {
    let mut tree = Tree::new(100_000);
    let winding = "a/../".repeat(200) + "b";
    let kind = EntryKind::Symlink(winding.into_bytes());
    let added = (0..20_000).try_for_each(|n| tree.add(&format!("l{n}"), &kind));
    assert!(added.and_then(|()| tree.check_links(|_| false)).is_err());

    let mut crowded = Tree::new(3);
    assert!(crowded.add("a/b", &EntryKind::File).is_ok());
    assert!(
        crowded.add("c/d", &EntryKind::File).is_err(),
        "implied folders count too"
    );
}
