//! Pictures as they are named on the command line: by id, by source key, by file names of any bytes.

use std::fs;

use super::{BLUE, Daemon, RED, names_in, picture, two_colours};

#[test]
fn single_images_are_named_by_key_or_id() {
    let (_folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let id = daemon.run(["explain", "red-1.png"]).code(0).json()["image_id"].as_str().unwrap().to_string();
    daemon.run(["keep", "--image", &id, "red-2.png"]).code(0);
    daemon.run(["discard", "--image", "red-3.png", "--duplicate-of", &id]).code(0);
    assert_eq!(daemon.run(["explain", &id]).code(0).json()["decision"], "keep");
    assert_eq!(daemon.run(["explain", "red-3.png"]).code(0).json()["reason"], "seen-label");
    daemon.run(["explain", "no-such.png"]).code(2);
    let near = daemon.run(["neighbours", "red-1.png", "-k", "3"]).code(0).json();
    let near = near["neighbours"].as_array().unwrap();
    assert_eq!(near.len(), 3);
    assert!(near.iter().all(|neighbour| neighbour["file"].as_str().unwrap().starts_with("red-")));
    let dry = daemon.run(["delete", "--source-prefix", "deep/", "--dry-run"]).code(0).json();
    assert_eq!(dry["images"], 6);
    daemon.run(["delete", "--source-prefix", "deep/"]).code(0);
    assert_eq!(daemon.run(["stats"]).code(0).json()["images"], 6);
    daemon.run(["delete"]).code(2);
    let named = daemon.run(["delete", "--image", &id, "red-2.png"]).code(0).json();
    assert_eq!(named["images"], 2);
    daemon.run(["delete", "--image", "red-2.png"]).code(2);
    assert_eq!(daemon.run(["decisions", "--image", "red-3.png"]).code(0).json()["counts"]["images"], 1);
}

#[cfg(unix)]
#[test]
fn any_file_name_comes_through() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (images, sorted) = (folder.path().join("images"), folder.path().join("sorted"));
    fs::create_dir(&images).unwrap();
    let names: [&[u8]; 3] = [b"two\nlines.png", b"latin\xe9.png", b"50% #?.png"];
    for (shade, name) in names.into_iter().enumerate() {
        picture(&images.join(std::ffi::OsStr::from_bytes(name)), RED, shade as u8 * 9);
    }
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let listed = daemon.run(["decisions"]).code(0).json();
    let mut keys: Vec<&str> =
        listed["decisions"].as_array().unwrap().iter().filter_map(|d| d["source_keys"][0].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["50% #?.png", "latin%E9.png", "two\nlines.png"]);
    daemon.run(["keep", "--image", "two\nlines.png"]).code(0);
    daemon.run(["discard", "--image", "latin%E9.png", "50% #?.png"]).code(0);
    let to = ["apply".as_ref(), "--copy".as_ref(), "--really".as_ref(), "--to".as_ref(), sorted.as_os_str()];
    assert_eq!(daemon.run(to).code(0).json()["done"], 3);
    assert_eq!(names_in(&sorted.join("keep")), ["two\nlines.png"]);
    assert!(sorted.join("discard").join(std::ffi::OsStr::from_bytes(b"latin\xe9.png")).is_file());
}

/// Cameras count from one again and again: two folders hold different pictures of one name, and equal ones.
#[test]
fn a_key_of_two_folders_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folders = ["A", "B"].map(|name| folder.path().join(name));
    for (at, colour) in folders.iter().zip([RED, BLUE]) {
        fs::create_dir(at).unwrap();
        picture(&at.join("IMG_1.png"), colour, 0);
        picture(&at.join("same.png"), RED, 9);
    }
    let daemon = Daemon::start();
    for at in &folders {
        daemon.add(at).code(0);
    }
    let stats = daemon.run(["stats"]).code(0).json();
    assert_eq!((stats["images"].as_u64(), stats["sources"].as_u64()), (Some(3), Some(4)));
    let refused = daemon.run(["discard", "--image", "IMG_1.png"]).code(2).stderr();
    let ids: Vec<&str> =
        refused.split_whitespace().filter(|word| word.len() == 64 && !word.contains('/')).collect();
    assert_eq!(ids.len(), 2, "{refused}");
    assert!(refused.contains("A/IMG_1.png") && refused.contains("B/IMG_1.png"), "{refused}");
    daemon.run(["explain", "IMG_1.png"]).code(2);
    daemon.run(["discard", "--image", ids[0]]).code(0);
    assert_eq!(daemon.run(["explain", ids[1]]).code(0).json()["reason"], "too-far");
    daemon.run(["keep", "--image", "same.png"]).code(0);
    // Adding again changes nothing, and each file is found where it lies.
    daemon.add(&folders[0]).code(0);
    assert_eq!(daemon.run(["stats"]).code(0).json()["sources"], 4);
    let sorted = folder.path().join("sorted");
    let to = ["apply".as_ref(), "--copy".as_ref(), "--really".as_ref(), "--to".as_ref(), sorted.as_os_str()];
    assert_eq!(daemon.run(to).code(0).json()["done"], 4);
    assert!(names_in(&sorted.join("keep")).contains(&"same-2.png".to_owned()));
}
