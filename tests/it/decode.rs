//! Bytes from strangers: every format, every oddity that is a picture, and everything that is none.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use culld::decode::{DecodeError, DecodedImage, Format, Limits, contact_sheet, decode, thumbnail};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};

/// A picture with slopes, edges and texture; the same for the same arguments.
pub(crate) fn scene(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x * 256 / width, y * 256 / height);
        let tile = (u / 32 + v / 32 + seed) % 2 * 60;
        let wave = (u * v / 64 + seed * 37) % 64;
        Rgb([u * 2 / 3 + tile, v / 2 + wave, 190 - tile + wave].map(|value| value.min(255) as u8))
    })
}

/// A JPEG file of a picture.
pub(crate) fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).unwrap();
    bytes
}

/// The folder of a labelled set, when this machine has the sets. Skipping is said aloud, and is no option in CI.
pub(crate) fn labelled_set(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{} is missing", folder.display());
    eprintln!("skipped: {} is missing", folder.display());
    None
}

/// (file, class) of a labelled set, in order.
pub(crate) fn labels(folder: &std::path::Path) -> Vec<(PathBuf, String)> {
    let text = std::fs::read_to_string(folder.join("labels.csv")).unwrap();
    let rows = text.lines().skip(1).filter_map(|line| line.split_once(','));
    rows.map(|(file, class)| (folder.join("images").join(file), class.to_owned())).collect()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> DecodedImage {
    decode(bytes, &Limits::default(), u32::MAX).unwrap()
}

fn pixel(image: &DecodedImage, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * image.width + x) * 3) as usize;
    [image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]]
}

#[track_caller]
fn check_close(found: [u8; 3], expected: [u8; 3], tolerance: u8) {
    let near = found.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= tolerance);
    assert!(near, "{found:?} is not {expected:?}");
}

#[track_caller]
fn check_refused(bytes: &[u8], expected: &str) {
    let error = decode(bytes, &Limits::default(), 320).unwrap_err();
    assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// One PNG chunk with its checksum.
pub(crate) fn png_chunk(kind: &str, content: &[u8]) -> Vec<u8> {
    let body = [kind.as_bytes(), content].concat();
    let mut checksum = !0u32;
    for &byte in &body {
        checksum ^= u32::from(byte);
        for _ in 0..8 {
            checksum = (checksum >> 1) ^ (0xEDB8_8320 & (checksum & 1).wrapping_neg());
        }
    }
    [&(content.len() as u32).to_be_bytes()[..], &body, &(!checksum).to_be_bytes()].concat()
}

/// A PNG file of raw, filter-prefixed rows, stored without compression.
pub(crate) fn png(width: u32, height: u32, depth: u8, colour: u8, extra: &[Vec<u8>], rows: &[u8]) -> Vec<u8> {
    let (mut low, mut high) = (1u32, 0u32);
    for &byte in rows {
        low = (low + u32::from(byte)) % 65521;
        high = (high + low) % 65521;
    }
    let length = rows.len() as u16;
    let zlib = [
        &[0x78, 1, 1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        rows,
        &(high << 16 | low).to_be_bytes(),
    ];
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let parts = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk("IHDR", &header),
        extra.concat(),
        png_chunk("IDAT", &zlib.concat()),
        png_chunk("IEND", &[]),
    ];
    parts.concat()
}

#[test]
fn every_format_comes_back() {
    let picture = scene(50, 30, 1);
    let lossless = [
        (ImageFormat::Png, Format::Png),
        (ImageFormat::WebP, Format::WebP),
        (ImageFormat::Bmp, Format::Bmp),
        (ImageFormat::Tiff, Format::Tiff),
    ];
    for (written, read) in lossless {
        let image = decoded(&encoded(&DynamicImage::ImageRgb8(picture.clone()), written));
        assert_eq!((image.format, image.width, image.height), (read, 50, 30));
        assert_eq!((image.original_width, image.original_height), (50, 30));
        assert!(image.rgb == *picture.as_raw(), "{written:?} changes pixels");
    }
    let image = decoded(&jpeg(&picture, 95));
    assert_eq!((image.format, image.width, image.height), (Format::Jpeg, 50, 30));
    check_close(pixel(&image, 20, 20), picture.get_pixel(20, 20).0, 12);
    let gif = decoded(&encoded(
        &DynamicImage::ImageRgba8(DynamicImage::ImageRgb8(picture).into_rgba8()),
        ImageFormat::Gif,
    ));
    assert_eq!((gif.format, gif.width, gif.height), (Format::Gif, 50, 30));
}

#[test]
fn odd_pixels_become_rgb() {
    let gray = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(9, 5, Luma([77])));
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Jpeg] {
        check_close(pixel(&decoded(&encoded(&gray, format)), 3, 3), [77; 3], 1);
    }
    // Half transparent black on white, and fully transparent red on white.
    let gray_alpha = image::GrayAlphaImage::from_pixel(4, 4, LumaA([0, 128]));
    let image = decoded(&encoded(&DynamicImage::ImageLumaA8(gray_alpha), ImageFormat::Png));
    assert_eq!(pixel(&image, 1, 1), [127; 3]);
    let clear = image::RgbaImage::from_pixel(4, 4, Rgba([255, 0, 0, 0]));
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Gif] {
        let image = decoded(&encoded(&DynamicImage::ImageRgba8(clear.clone()), format));
        assert_eq!(pixel(&image, 2, 2), [255; 3], "{format:?}");
    }
    // 16 bits are rounded: 0x80FF / 257 = 128.5.
    let deep = image::ImageBuffer::from_pixel(3, 3, Rgb([0x0000u16, 0x80FF, 0xFFFF]));
    let image = decoded(&encoded(&DynamicImage::ImageRgb16(deep), ImageFormat::Png));
    check_close(pixel(&image, 0, 0), [0, 128, 255], 1);
    // A palette whose second entry is clear: blue, clear, blue, clear.
    let palette = png_chunk("PLTE", &[0, 0, 255, 255, 0, 0]);
    let alpha = png_chunk("tRNS", &[255, 0]);
    let image = decoded(&png(4, 1, 8, 3, &[palette, alpha], &[0, 0, 1, 0, 1]));
    assert_eq!(image.rgb, [0, 0, 255, 255, 255, 255, 0, 0, 255, 255, 255, 255]);
}

/// 16 × 8 in CMYK as Adobe writes it: the left half magenta and yellow, the right half cyan and a fifth of black.
pub(crate) const CMYK_JPEG: &str = "ffd8ffee000e41646f626500640000000000ffdb0043000302020302020303030304030304050805050404050a070706080c\
0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc000140800080010044311004d11005911004b1100ff\
c400160001010100000000000000000000000000090a08ffc40014100100000000000000000000000000000000ffda000e0443004d0059004b00003f\
0054c550aa2a69575542aa19ddffd9";

/// 16 × 16 gray, x xor y and slopes: progressive, with bands and refinements.
const PROGRESSIVE_JPEG: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e1720\
2e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc2000b080010001001011100ffc400160001010100\
000000000000000000000000050304ffda0008010100000001250d77ffc400161000030000000000000000000000000000000203ffda000801010001\
0502598b31662ccfffc40014100100000000000000000000000000000020ffda0008010100063f021fffc40016100003000000000000000000000000\
0000001141ffda0008010100013f215415054150ffda00080101000000103fffc400171000030100000000000000000000000000000121f0ffda0008\
010100013f108f111e223c44788fffd9";

#[test]
fn odd_jpegs_are_read() {
    let cmyk = decoded(&unhex(CMYK_JPEG));
    check_close(pixel(&cmyk, 3, 4), [255, 0, 0], 6);
    check_close(pixel(&cmyk, 12, 4), [0, 204, 204], 6);
    let progressive = decoded(&unhex(PROGRESSIVE_JPEG));
    assert_eq!((progressive.width, progressive.height), (16, 16));
    assert!(pixel(&progressive, 15, 15)[0] > pixel(&progressive, 0, 0)[0] + 50);
}

#[test]
fn what_is_no_picture_says_why() {
    check_refused(b"", "empty");
    check_refused(b"<!DOCTYPE html><html><body>404</body></html>", "HTML");
    check_refused(b"  <html>", "HTML");
    check_refused(b"%PDF-1.7 ...", "PDF");
    check_refused(b"\0\0\0\x1cftypheic\0\0\0\0", "heic");
    check_refused(&[0; 100], "unknown content that starts with 00 00");
    check_refused(&[0xFF, 0xD8, 0xFF], "damaged");
    check_refused(b"\x89PNG\r\n\x1a\n", "damaged");
    check_refused(b"GIF89a", "damaged");
    check_refused(b"BM", "damaged");
    check_refused(b"II*\0", "damaged");
    check_refused(b"RIFF\0\0\0\0WEBPVP8 ", "damaged");
    check_refused(&png(0, 7, 8, 2, &[], &[0]), "");
    let large = Limits { bytes_max: 10, ..Limits::default() };
    let error = decode(&[0; 11], &large, 320).unwrap_err();
    assert_eq!(error, DecodeError::TooLarge { bytes: 11, bytes_max: 10 });
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let too_many = |width, height| DecodeError::TooManyPixels { width, height, pixels_max: 100_000_000 };
    let bomb = png(20_000, 20_000, 8, 2, &[], &[0; 9]);
    assert_eq!(decode(&bomb, &Limits::default(), 320), Err(too_many(20_000, 20_000)));

    for (width, height) in [(65_536, 1), (1, 65_536), (100_000_000, 1), (1, 100_000_000)] {
        let long = png(width, height, 8, 0, &[], &[0; 9]);
        assert_eq!(decode(&long, &Limits::default(), 320), Err(too_many(width, height)));
    }

    let mut bmp = encoded(&DynamicImage::ImageRgb8(scene(8, 8, 0)), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&30_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&30_000u32.to_le_bytes());
    assert_eq!(decode(&bmp, &Limits::default(), 320), Err(too_many(30_000, 30_000)));

    let mut huge_jpeg = jpeg(&scene(8, 8, 0), 90);
    let frame = huge_jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    huge_jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    assert_eq!(decode(&huge_jpeg, &Limits::default(), 320), Err(too_many(65_535, 65_535)));

    let mut gif = b"GIF89a\xFF\xFF\xFF\xFF\0\0\0".to_vec();
    gif.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;");
    assert_eq!(decode(&gif, &Limits::default(), 320), Err(too_many(65_535, 65_535)));
}

#[test]
fn a_truncated_file_is_corrupt_not_half_grey() {
    let picture = scene(300, 200, 3);
    let whole = jpeg(&picture, 80);
    for percent in [10, 40, 60, 80, 95, 99] {
        let cut = whole.len() * percent / 100;
        check_refused(&whole[..cut], "damaged");
        // Tools like to close what they cut.
        check_refused(&[&whole[..cut], &[0xFF, 0xD9]].concat(), "damaged");
    }
    check_refused(&whole[..whole.len() - 2], "ends early");
    let progressive = unhex(PROGRESSIVE_JPEG);
    for cut in 20..progressive.len() - 2 {
        assert!(decode(&progressive[..cut], &Limits::default(), 320).is_err(), "cut at {cut}");
    }
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif]
    {
        let whole =
            encoded(&DynamicImage::ImageRgba8(DynamicImage::ImageRgb8(picture.clone()).into_rgba8()), format);
        for percent in [5, 30, 60, 90] {
            let cut = &whole[..whole.len() * percent / 100];
            assert!(decode(cut, &Limits::default(), 320).is_err(), "{format:?} cut at {percent} %");
        }
    }
}

#[test]
fn scrambled_picture_data_is_corrupt() {
    let whole = jpeg(&scene(300, 200, 4), 85);
    let data = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
    let mut state = 9u32;
    for attempt in 0..20 {
        let mut bytes = whole.clone();
        let at = data + (whole.len() - data - 602) * attempt / 20;
        for byte in &mut bytes[at..at + 600] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        assert!(decode(&bytes, &Limits::default(), 320).is_err(), "scrambled at {at}");
    }
}

#[test]
fn a_clock_that_ran_out_is_a_timeout() {
    let limit = Duration::ZERO;
    let limits = Limits { decode_time_max: limit, ..Limits::default() };
    let picture = scene(600, 400, 5);
    let png = encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png);
    for bytes in [jpeg(&picture, 90), png] {
        assert_eq!(decode(&bytes, &limits, 320), Err(DecodeError::Timeout { limit }));
    }
}

/// Puts an EXIF block that says nothing but the orientation behind the start marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_orientation_is_applied_at_every_scale() {
    const RED: [u8; 3] = [255, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];
    const BLUE: [u8; 3] = [0, 0, 255];
    const GRAY: [u8; 3] = [128, 128, 128];
    // Corners as stored: red green / blue gray. Upright, row by row, for each orientation:
    let upright = [
        [RED, GREEN, BLUE, GRAY],
        [GREEN, RED, GRAY, BLUE],
        [GRAY, BLUE, GREEN, RED],
        [BLUE, GRAY, RED, GREEN],
        [RED, BLUE, GREEN, GRAY],
        [BLUE, RED, GRAY, GREEN],
        [GRAY, GREEN, BLUE, RED],
        [GREEN, GRAY, RED, BLUE],
    ];
    for (width, height, shortest_side_min) in [(48, 32, u32::MAX), (960, 640, 80)] {
        let stored = RgbImage::from_fn(width, height, |x, y| {
            Rgb([[RED, GREEN], [BLUE, GRAY]][usize::from(y >= height / 2)][usize::from(x >= width / 2)])
        });
        let bytes = jpeg(&stored, 95);
        for (orientation, corners) in (1..=8).zip(upright) {
            let image = decode(&with_orientation(&bytes, orientation), &Limits::default(), shortest_side_min)
                .unwrap();
            let expected = if orientation > 4 { (height, width) } else { (width, height) };
            assert_eq!((image.original_width, image.original_height), expected, "orientation {orientation}");
            assert_eq!(image.width * expected.1, image.height * expected.0, "orientation {orientation}");
            assert_eq!(image.width < expected.0, shortest_side_min < u32::MAX, "orientation {orientation}");
            let (right, bottom) = (image.width - 3, image.height - 3);
            let places = [(2, 2), (right, 2), (2, bottom), (right, bottom)];
            for ((x, y), corner) in places.into_iter().zip(corners) {
                check_close(pixel(&image, x, y), corner, 12);
            }
        }
    }
}

#[test]
fn only_large_jpegs_are_scaled_and_only_as_far_as_asked() {
    let bytes = jpeg(&scene(1300, 700, 6), 90);
    for (shortest_side_min, size) in [
        (701, (1300, 700)),
        (350, (650, 350)),
        (320, (650, 350)),
        (175, (325, 175)),
        (87, (163, 88)),
        (1, (163, 88)),
    ] {
        let image = decode(&bytes, &Limits::default(), shortest_side_min).unwrap();
        assert_eq!((image.width, image.height), size, "at least {shortest_side_min}");
        assert_eq!((image.original_width, image.original_height), (1300, 700));
    }
}

#[test]
fn thumbnails_fit_and_sheets_hold_them() {
    let thumbnail_of = |width, height| thumbnail(&decoded(&jpeg(&scene(width, height, 7), 90))).unwrap();
    let mut thumbnails = Vec::new();
    for (size, expected) in [
        ((640, 480), (320, 240)),
        ((100, 50), (100, 50)),
        ((90, 900), (32, 320)),
        ((1, 1), (1, 1)),
        ((2000, 2), (320, 1)),
    ] {
        let bytes = thumbnail_of(size.0, size.1);
        let image = decoded(&bytes);
        assert_eq!((image.width, image.height), expected);
        thumbnails.push(bytes);
    }
    let sheet = decoded(&contact_sheet(&thumbnails, 3, 100).unwrap());
    assert_eq!((sheet.format, sheet.width, sheet.height), (Format::Png, 316, 212));
    assert_eq!(pixel(&sheet, 1, 1), [255; 3]);
    assert!(contact_sheet::<Vec<u8>>(&[], 3, 100).is_err());
    assert!(contact_sheet(&thumbnails, 0, 100).is_err());
    assert!(contact_sheet(&thumbnails, 3, u32::MAX - 4).is_err());
    assert!(contact_sheet(&[b"no picture"], 1, 100).is_err());
}

#[test]
fn damaged_files_of_the_quality_set_are_refused_and_no_others() {
    let Some(folder) = labelled_set("quality") else {
        return;
    };
    for (file, class) in labels(&folder) {
        let result = decode(&std::fs::read(&file).unwrap(), &Limits::default(), 320);
        assert_eq!(result.is_err(), class == "corrupt", "{}: {class}", file.display());
    }
}

#[test]
fn no_sound_picture_of_the_sets_is_refused() {
    // Every picture with RUN_SLOW_TESTS, else every tenth.
    let step = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1 } else { 10 };
    for set in ["zoo", "docs", "houses", "trashnet", "flowers128", "neardup"] {
        let Some(folder) = labelled_set(set) else { return };
        for (file, _) in labels(&folder).into_iter().step_by(step) {
            if let Err(error) = decode(&std::fs::read(&file).unwrap(), &Limits::default(), 320) {
                panic!("{}: {error}", file.display());
            }
        }
    }
}
